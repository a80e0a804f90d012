//! Speed against correctness, as a picture.

use plotters::prelude::*;

use crate::{
    correctness::UPDATES,
    report::{Report, Row},
    speed::Work,
};

/// Draws the picture as SVG: to the right is faster, at the top nothing is lost.
pub(crate) fn draw(report: &Report) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let points = points(&report.rows);
    let fastest = points.iter().map(|it| it.speed).fold(0.0, f64::max);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (left, right) = root.split_horizontally(SIZE.0 - LEGEND_WIDTH);
        let mut chart = ChartBuilder::on(&left)
            .caption(TITLE, ("sans-serif", 17))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(58)
            .build_cartesian_2d(0.0..fastest.max(0.95) + 0.05, 0.0..106.0)?;
        chart
            .configure_mesh()
            .max_light_lines(0)
            .bold_line_style(BLACK.mix(0.12))
            .x_desc("requests per second of /incr, relative to the app without sessions")
            .y_desc(format!("updates kept of {UPDATES} concurrent ones"))
            .x_label_formatter(&|share| format!("{:.0} %", share * 100.0))
            .y_label_formatter(&|share| format!("{share:.0} %"))
            .y_labels(6)
            .label_style(("sans-serif", 13))
            .draw()?;
        let white = ("sans-serif", 12).into_font().color(&WHITE);
        let centered = white.pos(plotters::style::text_anchor::Pos::new(
            plotters::style::text_anchor::HPos::Center,
            plotters::style::text_anchor::VPos::Center,
        ));
        for (index, point) in points.iter().enumerate() {
            let number = (index + 1).to_string();
            let drawn = (0, point.shift);
            chart.draw_series([EmptyElement::at((point.speed, point.kept))
                + Circle::new((0, 0), 3, point.color().filled())
                + PathElement::new([(0, 0), drawn], point.color())
                + Circle::new(drawn, 9, point.color().filled())
                + Text::new(number.clone(), drawn, centered.clone())])?;
            let row = 50 + 24 * i32::try_from(index)?;
            right.draw(&Circle::new((12, row), 9, point.color().filled()))?;
            right.draw(&Text::new(number, (12, row), centered.clone()))?;
            let black = ("sans-serif", 13).into_font().color(&BLACK);
            right.draw(&Text::new(point.name, (28, row - 6), black))?;
        }
        root.present()?;
    }
    Ok(svg)
}

#[derive(Debug, PartialEq)]
struct Point {
    name: &'static str,
    ours: bool,
    speed: f64,
    /// In per cent.
    kept: f64,
    /// By how many pixels its number is drawn below its place, so that it does not hide another one.
    shift: i32,
}

impl Point {
    const fn color(&self) -> RGBColor {
        if self.ours { OURS } else { PEER }
    }
}

/// Those of which both is known, the fastest last.
fn points(rows: &[Row]) -> Vec<Point> {
    let point = |row: &Row| {
        let speed = row.speed.get(&Work::IncrMany)?.as_ref().ok()?.of_floor?;
        let kept = row.correctness.as_ref()?.updates.as_ref().ok()?.count;
        Some(Point {
            name: row.name,
            ours: row.contestant.is_ours(),
            speed,
            kept: kept as f64 / UPDATES as f64 * 100.0,
            shift: 0,
        })
    };
    let mut points: Vec<_> = rows.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.speed.total_cmp(&b.speed));
    for index in 1..points.len() {
        let (before, rest) = points.split_at_mut(index);
        let close = |other: &&Point| {
            (other.speed - rest[0].speed).abs() < 0.035 && (other.kept - rest[0].kept).abs() < 5.0
        };
        let aside = before.iter().filter(close).map(|other| other.shift.abs());
        let aside = aside.max().map_or(0, |shift| shift + 20);
        // Towards the middle, where there is room.
        rest[0].shift = if rest[0].kept > 50.0 { aside } else { -aside };
    }
    points
}

const TITLE: &str = "Speed against updates kept";
const SIZE: (u32, u32) = (900, 440);
const LEGEND_WIDTH: u32 = 250;
const OURS: RGBColor = RGBColor(0x1b, 0x6e, 0xc2);
const PEER: RGBColor = RGBColor(0xb4, 0x5f, 0x06);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn contestants_stand_where_their_figures_are() {
        let points = points(&report().rows);
        let places: Vec<_> = points
            .iter()
            .map(|it| (it.name, it.speed, it.kept))
            .collect();
        assert_eq!(
            places,
            [
                ("tower-sessions, Redis", 15.0 / 90.0, 93.0 / 8.0),
                ("tenure-axum, Redis", 30.0 / 90.0, 100.0),
            ]
        );
    }

    #[test]
    fn the_picture_names_everybody() {
        let svg = draw(&report()).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("tenure-axum, Redis") && svg.contains("tower-sessions, Redis"));
    }
}
