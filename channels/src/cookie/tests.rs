//! Session cookies made by Plug's rules, of terms that Erlang wrote, and cookies made here; and what is no session.

use http::HeaderMap;
use http::header::COOKIE;

use super::*;

/// `MessageVerifier.sign(term_to_binary(session), key)` of `%{"_csrf_token" => …, "user_id" => 42, "role" => :admin}`.
const SIGNED: &str = "SFMyNTY.g3QAAAADbQAAAAtfY3NyZl90b2tlbm0AAAAYcVQ5LV9hYjNrTG1Ob1BxUnNUdVZ3WHlabQAAAARyb2xlZAAFYWRtaW5tAAAAB3VzZXJfaWRhKg.l487UfAK4WlGjl7Un_OHy2_Njn-FJyp8xGObhBvk7gU";

/// The same of an atom, which is no session.
const NO_MAP: &str = "SFMyNTY.g2QACW5vdF9hX21hcA.J0zKH6Eq00d7O4FbAsC1bsIK068yrVHyFRu_nMdV4pg";

/// The session's secret under a mask.
const CSRF: &str = "Ky0BcnIZNQIdGRkdHQEBHR0ZGR0dEREdZy8_-xW1vUtSrQpOnMlKjIhG";

fn tokens() -> Tokens {
    Tokens::new("0123456789abcdef".repeat(4)).unwrap()
}

fn signed() -> SessionCookie {
    SessionCookie::signed("_shop_key", tokens(), "T1Pz7Cmn")
}

fn read(session: &SessionCookie, cookie: &str, query: &str) -> Option<Term> {
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, format!("a=b; _shop_key={cookie}; c=d").parse().unwrap());
    session.read(&headers, &Params::parse(query).unwrap())
}

#[test]
fn a_session_of_plug_is_read() {
    let session = read(&signed(), SIGNED, &format!("_csrf_token={CSRF}")).expect("a good session");
    assert_eq!(session.get("user_id").and_then(Term::as_int), Some(42));
    assert_eq!(session.get("role"), Some(&Term::Atom("admin".to_owned())));
}

#[test]
fn without_the_proof_there_is_none() {
    let other = CSRF.replacen('K', "L", 1);
    for query in ["", "_csrf_token=", "_csrf_token[]=a", &format!("_csrf_token={other}"), "_csrf=x"] {
        assert_eq!(read(&signed(), SIGNED, query), None, "{query}");
    }
    let elsewhere = signed().csrf_token_key("_other_token");
    assert_eq!(read(&elsewhere, SIGNED, &format!("_csrf_token={CSRF}")), None);
    assert!(read(&signed().check_csrf(false), SIGNED, "").is_some());
}

#[test]
fn what_is_no_session_is_none() {
    let unchecked = || signed().check_csrf(false);
    let another_salt = SessionCookie::signed("_shop_key", tokens(), "another").check_csrf(false);
    let another_secret = Tokens::new("another secret of more than twenty bytes").unwrap();
    let another_secret = SessionCookie::signed("_shop_key", another_secret, "T1Pz7Cmn").check_csrf(false);
    let encrypted = SessionCookie::encrypted("_shop_key", tokens(), "T1Pz7Cmn").check_csrf(false);
    for other in [another_salt, another_secret, encrypted] {
        assert_eq!(read(&other, SIGNED, ""), None, "{other:?}");
    }
    for cookie in ["", "x", "a.b.c", &SIGNED[1..], &SIGNED[..SIGNED.len() - 1], NO_MAP] {
        assert_eq!(read(&unchecked(), cookie, ""), None, "{cookie}");
    }
    // A token of the same secret and salt is no session either: its payload is a tuple.
    let token = tokens().sign("T1Pz7Cmn", Term::Map(Vec::new())).unwrap();
    assert_eq!(read(&unchecked(), &token, ""), None);
    assert_eq!(unchecked().read(&HeaderMap::new(), &Params::default()), None);
}

#[test]
fn cookies_made_here_are_read_also_after_the_secret_has_changed() {
    let session = Term::json(&serde_json::json!({ "user_id": 7 })).unwrap();
    let make: [fn(Tokens) -> SessionCookie; 2] = [
        |tokens| SessionCookie::signed("_shop_key", tokens, "salt").check_csrf(false),
        |tokens| SessionCookie::encrypted("_shop_key", tokens, "salt").check_csrf(false),
    ];
    for cookie in make {
        let value = cookie(tokens()).value(session.clone()).unwrap();
        assert_eq!(read(&cookie(tokens()), &value, ""), Some(session.clone()));
        let new = Tokens::new("a new secret of more than twenty bytes").unwrap();
        assert_eq!(read(&cookie(new.clone()), &value, ""), None);
        let rotated = new.rotated_from("0123456789abcdef".repeat(4)).unwrap();
        assert_eq!(read(&cookie(rotated), &value, ""), Some(session.clone()));
    }
}
