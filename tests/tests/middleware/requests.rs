//! Requests that are unusual without being wrong.

use axum::http::{HeaderValue, header};
use tenure_axum::SessionLayer;

use crate::app::{Visitor, counter, in_memory};

fn visitor() -> Visitor {
    Visitor::new(counter().layer(SessionLayer::new(in_memory())))
}

/// HTTP/2 clients and proxies split cookies over several fields.
#[tokio::test]
async fn the_cookie_is_found_in_any_of_several_cookie_fields() {
    let mut visitor = visitor();
    assert_eq!(visitor.number("/").await, 1);
    let ours = format!("session={}", visitor.cookie("session").unwrap());
    for (visits, fields) in (2..).zip([
        vec!["a=1", "b=2", &ours],
        vec![&ours, "a=1"],
        vec!["a=1; b=2", &format!("c=3; {ours}; d=4"), "e=5"],
    ]) {
        let mut request = visitor.request("/");
        request.headers_mut().remove(header::COOKIE);
        for field in fields {
            let field = HeaderValue::try_from(field).unwrap();
            request.headers_mut().append(header::COOKIE, field);
        }
        let body = crate::app::text(visitor.send(request).await).await;
        // Each field has the first cookie, so each request begins from the first visit's session.
        assert!(body.starts_with(&visits.to_string()), "{body}");
    }
}

/// 390 kB are what hyper lets through by default; all of them are looked at once.
#[tokio::test]
async fn the_cookie_is_found_among_390_kilobytes_of_others() {
    let mut visitor = visitor();
    assert_eq!(visitor.number("/").await, 1);
    let ours = format!("session={}", visitor.cookie("session").unwrap());
    let others = |from: usize| (from..).map(|n| format!("other{n}={}", "x".repeat(4000)));
    let mut fields: Vec<_> = others(0).take(49).collect();
    fields.push(ours);
    fields.extend(others(49).take(49));
    let fields = fields.join("; ");
    assert!(fields.len() > 390_000);
    let mut request = visitor.request("/");
    let field = HeaderValue::try_from(fields).unwrap();
    request.headers_mut().insert(header::COOKIE, field);
    let body = crate::app::text(visitor.send(request).await).await;
    assert!(body.starts_with("2 "), "{body}");
}
