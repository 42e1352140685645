//! Tokens that OpenSSL signed, tokens made here, and all that must be refused.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use super::*;
use crate::socket::Refusal;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[derive(Deserialize)]
struct Fixture {
    rsa: String,
    rsa_1024: String,
    ec: String,
    ec_384: String,
    rs256: String,
    es256: String,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("openssl.json")).unwrap()
}

fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let plain = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(plain.as_bytes());
    format!("{plain}.{}", BASE64.encode(mac.finalize().into_bytes()))
}

fn hs256(claims: &Value) -> String {
    signed(&json!({ "alg": "HS256" }), claims, SECRET.as_bytes())
}

fn jwt() -> Jwt {
    Jwt::new(JwtKey::hs256(SECRET).unwrap())
}

/// The time so many seconds from now.
fn in_secs(secs: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + secs
}

fn check(jwt: &Jwt, token: &str, want: &str) {
    let got = match jwt.verify::<Claims>(token) {
        Ok(claims) => claims.sub,
        Err(error) => format!("{error:?}"),
    };
    assert_eq!(got, want, "{token}");
}

#[test]
fn tokens_of_openssl_are_verified_by_their_own_key_alone() {
    let made = fixture();
    let good = |key: JwtKey| Jwt::new(key).audience("chat").issuer("https://login.example.com");
    let (rs256, es256) = (JwtKey::rs256(&made.rsa).unwrap(), JwtKey::es256(&made.ec).unwrap());
    check(&good(rs256.clone()), &made.rs256, "user-42");
    check(&good(es256.clone()), &made.es256, "user-42");
    check(&good(rs256.clone()), &made.es256, "Algorithm");
    check(&good(es256.clone()), &made.rs256, "Algorithm");
    for token in [&made.rs256, &made.es256] {
        check(&good(rs256.clone()).key(es256.clone()).key(JwtKey::hs256(SECRET).unwrap()), token, "user-42");
        let (rest, signature) = token.rsplit_once('.').unwrap();
        let mut changed = BASE64.decode(signature).unwrap();
        changed[5] ^= 1;
        let token = format!("{rest}.{}", BASE64.encode(changed));
        check(&good(rs256.clone()).key(es256.clone()), &token, "Signature");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let made = fixture();
    let claims = json!({ "sub": "eve", "exp": in_secs(60), "aud": "chat" });
    let forged = signed(&json!({ "alg": "HS256" }), &claims, made.rsa.as_bytes());
    let jwt = Jwt::new(JwtKey::rs256(&made.rsa).unwrap()).audience("chat");
    check(&jwt, &forged, "Algorithm");
    let renamed = signed(&json!({ "alg": "RS256" }), &claims, made.rsa.as_bytes());
    check(&jwt, &renamed, "Signature");
}

#[test]
fn headers() {
    let claims = json!({ "sub": "ann", "exp": in_secs(60) });
    let table = [
        (json!({ "alg": "HS256" }), "ann"),
        (json!({ "alg": "HS256", "typ": "JWT", "kid": "7" }), "ann"),
        (json!({ "alg": "none" }), "Algorithm"),
        (json!({ "alg": "hs256" }), "Algorithm"),
        (json!({ "alg": "HS384" }), "Algorithm"),
        (json!({ "alg": "HS256", "crit": ["b64"], "b64": false }), "Critical"),
        (json!({}), "Algorithm"),
        (json!("HS256"), "Algorithm"),
    ];
    for (header, want) in table {
        check(&jwt(), &signed(&header, &claims, SECRET.as_bytes()), want);
    }
    let other = b"another secret of more than 32 bytes";
    let token = signed(&json!({ "alg": "HS256" }), &claims, other);
    check(&jwt(), &token, "Signature");
    check(&jwt().key(JwtKey::hs256(other).unwrap()), &token, "ann");
    check(&Jwt::new(JwtKey::hs256(other).unwrap()).key(JwtKey::hs256(SECRET).unwrap()), &token, "ann");
}

#[test]
fn times_with_leeway() {
    let strict = jwt().leeway(Duration::ZERO);
    let table = [
        (json!({ "sub": "ann", "exp": in_secs(60) }), "ann", "ann"),
        (json!({ "sub": "ann", "exp": in_secs(-30) }), "Expired", "ann"),
        (json!({ "sub": "ann", "exp": in_secs(-90) }), "Expired", "Expired"),
        (json!({ "sub": "ann", "exp": 0 }), "Expired", "Expired"),
        (json!({ "sub": "ann", "exp": in_secs(60), "nbf": in_secs(-1) }), "ann", "ann"),
        (json!({ "sub": "ann", "exp": in_secs(60), "nbf": in_secs(30) }), "NotYetValid", "ann"),
        (json!({ "sub": "ann", "exp": in_secs(300), "nbf": in_secs(90) }), "NotYetValid", "NotYetValid"),
        (json!({ "sub": "ann", "exp": u64::MAX, "nbf": u64::MAX }), "NotYetValid", "NotYetValid"),
        (json!({ "sub": "ann" }), "Claim(\"exp\")", "Claim(\"exp\")"),
        (json!({ "sub": "ann", "exp": "soon" }), "Claim(\"exp\")", "Claim(\"exp\")"),
        (json!({ "sub": "ann", "exp": -5 }), "Claim(\"exp\")", "Claim(\"exp\")"),
        (json!({ "sub": "ann", "exp": in_secs(60), "nbf": "now" }), "Claim(\"nbf\")", "Claim(\"nbf\")"),
    ];
    for (claims, by_strict, by_default) in table {
        check(&strict, &hs256(&claims), by_strict);
        check(&jwt(), &hs256(&claims), by_default);
    }
    // More leeway than there is time since 1970.
    let token = hs256(&json!({ "sub": "ann", "exp": 1 }));
    check(&jwt().leeway(Duration::MAX), &token, "Expired");
}

#[test]
fn audiences_and_issuers() {
    let with = |more: Value| {
        let mut claims = json!({ "sub": "ann", "exp": in_secs(60) });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        hs256(&claims)
    };
    let chat = jwt().audience("chat").audience("talk");
    for (aud, by_chat, by_any) in [
        (json!({ "aud": "chat" }), "ann", "Audience"),
        (json!({ "aud": ["shop", "talk"] }), "ann", "Audience"),
        (json!({ "aud": "shop" }), "Audience", "Audience"),
        (json!({ "aud": [] }), "Audience", "Audience"),
        (json!({ "aud": 1 }), "Claim(\"aud\")", "ann"),
        (json!({}), "Claim(\"aud\")", "ann"),
    ] {
        check(&chat, &with(aud.clone()), by_chat);
        check(&jwt(), &with(aud), by_any);
    }
    let ours = jwt().issuer("us");
    check(&ours, &with(json!({ "iss": "us" })), "ann");
    check(&ours, &with(json!({ "iss": "them" })), "Issuer");
    check(&ours, &with(json!({})), "Claim(\"iss\")");
    check(&jwt(), &with(json!({ "iss": "them" })), "ann");
}

#[test]
fn what_is_no_token() {
    let good = hs256(&json!({ "sub": "ann", "exp": in_secs(60) }));
    let (head, rest) = good.split_once('.').unwrap();
    let not_json = BASE64.encode("x");
    for token in [
        "",
        ".",
        "..",
        "a.b.c",
        head,
        rest,
        &format!("{not_json}.{rest}"),
        &format!("{head}.{}", "a".repeat(20_000)),
    ] {
        let error = jwt().verify::<Claims>(token).unwrap_err();
        assert!(matches!(error, JwtError::Malformed), "{token}: {error:?}");
    }
    assert!(matches!(jwt().verify::<Claims>(None), Err(JwtError::Missing)));
    assert!(matches!(
        jwt().verify::<Claims>(&*format!("{good}A")),
        Err(JwtError::Signature | JwtError::Malformed)
    ));
    let no_sub = hs256(&json!({ "exp": in_secs(60) }));
    let error = jwt().verify::<Claims>(&*no_sub).unwrap_err();
    assert!(matches!(&error, JwtError::Claims(_)) && error.to_string().contains("sub"), "{error}");
    assert_eq!(Refusal::from(error), Refusal::forbidden());
}

#[test]
fn keys_that_are_none() {
    let made = fixture();
    let error = |key: Result<JwtKey, JwtKeyError>| key.unwrap_err();
    assert_eq!(error(JwtKey::hs256("short")), JwtKeyError::SecretTooShort { len: 5 });
    assert_eq!(error(JwtKey::rs256(&made.rsa_1024)), JwtKeyError::RsaTooShort);
    assert_eq!(error(JwtKey::rs256(&made.ec)), JwtKeyError::Pem);
    assert_eq!(error(JwtKey::rs256("no key")), JwtKeyError::Pem);
    assert_eq!(error(JwtKey::rs256(made.rsa.replace("PUBLIC", "PRIVATE"))), JwtKeyError::Pem);
    assert_eq!(error(JwtKey::es256(&made.ec_384)), JwtKeyError::Curve);
    assert_eq!(error(JwtKey::es256(&made.rsa)), JwtKeyError::Pem);
    assert!(!format!("{:?}", JwtKey::hs256(SECRET).unwrap()).contains("0123"));
}
