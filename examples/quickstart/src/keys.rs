//! The keys of the cookies, which have to outlive the process if sessions do.

use std::{error::Error, fmt::Write as _, fs, io::ErrorKind, io::Write as _, path::Path};

use tenure_axum::KeyRing;

/// Those of `TENURE_KEYS`, as in production, or the one that is kept in that folder.
pub(crate) fn of(folder: &Path) -> Result<KeyRing, Box<dyn Error>> {
    if std::env::var_os("TENURE_KEYS").is_some() {
        return Ok(KeyRing::from_env("TENURE_KEYS")?);
    }
    kept_in(folder)
}

pub(crate) fn kept_in(folder: &Path) -> Result<KeyRing, Box<dyn Error>> {
    let path = folder.join("quickstart.key");
    match fs::read_to_string(&path) {
        Ok(key) => Ok(key.trim().parse()?),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            keep(folder, &path)?;
            // Perhaps another process's, which was faster.
            Ok(fs::read_to_string(&path)?.trim().parse()?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes a key, unless there is one by now. Nobody but this user can read it, and nobody sees half of it.
fn keep(folder: &Path, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    let mut key = String::new();
    for byte in bytes {
        write!(key, "{byte:02x}")?;
    }
    // Readable by its owner alone, as all files that this crate makes.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{key}")?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error.into()),
        _ => Ok(()),
    }
}
