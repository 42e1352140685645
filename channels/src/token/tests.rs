//! Tokens that Phoenix made, read here, and made here as Phoenix makes them; and what must be refused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::key::Key;
use super::*;
use crate::tests::fuzz;

/// Made by Phoenix.Token of phoenix 1.8.12 with plug_crypto 2.1.1. In `data`, a leading `:` marks an atom, and
/// `{"tuple": […]}` a tuple.
#[derive(Deserialize)]
struct Fixture {
    secret_key_base: String,
    tokens: Vec<Made>,
}

#[derive(Deserialize)]
struct Made {
    name: String,
    kind: String,
    #[serde(default, deserialize_with = "given")]
    data: Option<Value>,
    salt: String,
    signed_at_s: u64,
    token: String,
    max_age_s: Option<u64>,
    digest: Option<String>,
    key_iterations: Option<u32>,
    key_length: Option<usize>,
    #[serde(default)]
    invalid: bool,
}

/// `null` is data too.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("phoenix-tokens.json")).unwrap()
}

impl Made {
    fn signed_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.signed_at_s)
    }

    fn tokens(&self, secret: &str) -> Tokens {
        let default = KeyOptions::default();
        let digest = match self.digest.as_deref() {
            None => Digest::Sha256,
            Some("sha384") => Digest::Sha384,
            Some(other) => panic!("{other}"),
        };
        let options = KeyOptions {
            iterations: self.key_iterations.unwrap_or(default.iterations),
            length: self.key_length.unwrap_or(default.length),
            digest,
        };
        let tokens = Tokens::new(secret).unwrap().key_options(options);
        match self.max_age_s {
            Some(secs) => tokens.max_age(Duration::from_secs(secs)),
            None => tokens,
        }
    }

    fn read(&self, secret: &str, token: &str, now: SystemTime) -> Result<Term, TokenError> {
        let tokens = self.tokens(secret);
        match &*self.kind {
            "sign" => tokens.verify_at(now, &self.salt, token, None),
            "encrypt" => tokens.decrypt_at(now, &self.salt, token, None),
            other => panic!("{other}"),
        }
    }
}

fn term(value: Value) -> Term {
    let has_atom = |key: &String| key.starts_with(':');
    match value {
        Value::String(text) => match text.strip_prefix(':') {
            Some(atom) => Term::Atom(atom.to_owned()),
            None => Term::from(text),
        },
        Value::Number(number) if !number.is_f64() => Term::Int(number.to_string().parse().unwrap()),
        // Serde reads an integer of more than 64 bits as a float.
        Value::Number(number) if number.as_f64() > Some(1e20) => Term::Int(12_345_678_901_234_567_890_123),
        Value::Array(values) => Term::List(values.into_iter().map(term).collect()),
        Value::Object(mut map) if map.contains_key("tuple") => match term(map.remove("tuple").unwrap()) {
            Term::List(terms) => Term::Tuple(terms),
            other => panic!("{other:?}"),
        },
        Value::Object(map) => {
            assert!(map.len() < 2 || !map.keys().any(has_atom), "the order of atoms is Erlang's");
            Term::Map(map.into_iter().map(|(key, value)| (term(key.into()), term(value))).collect())
        }
        other => Term::from(other),
    }
}

/// Whether it has atoms, which the Erlang of the fixture wrote in the form of before OTP 26.
fn has_atoms(term: &Term) -> bool {
    match term {
        Term::Atom(_) => true,
        Term::Int(_) | Term::Float(_) | Term::Binary(_) => false,
        Term::List(terms) | Term::Tuple(terms) => terms.iter().any(has_atoms),
        Term::Map(pairs) => pairs.iter().any(|(key, value)| has_atoms(key) || has_atoms(value)),
    }
}

#[test]
fn tokens_of_phoenix_are_read() {
    let fixture = fixture();
    let mut read = 0;
    for made in fixture.tokens {
        let got = made.read(&fixture.secret_key_base, &made.token, made.signed_at());
        let want = if made.invalid { Err(TokenError::Invalid) } else { Ok(term(made.data.unwrap())) };
        assert_eq!(got, want, "{} {}", made.kind, made.name);
        read += usize::from(got.is_ok());
    }
    assert_eq!(read, 35);
}

#[test]
fn tokens_are_made_as_phoenix_makes_them() {
    let fixture = fixture();
    let mut same = 0;
    for made in fixture.tokens.into_iter().filter(|made| !made.invalid) {
        let data = term(made.data.clone().unwrap());
        let tokens = made.tokens(&fixture.secret_key_base);
        let token = match &*made.kind {
            "sign" => tokens.sign_at(made.signed_at(), &made.salt, data.clone()).unwrap(),
            _ => tokens.encrypt_at(made.signed_at(), &made.salt, data.clone()).unwrap(),
        };
        assert_eq!(
            made.read(&fixture.secret_key_base, &token, made.signed_at()),
            Ok(data.clone()),
            "{}",
            made.name
        );
        if made.kind == "sign" && !has_atoms(&data) {
            assert_eq!(token, made.token, "{}", made.name);
            same += 1;
        } else {
            assert_eq!(token.split('.').next(), made.token.split('.').next());
        }
    }
    assert_eq!(same, 15);
}

#[test]
fn age() {
    let secs = Duration::from_secs;
    let (signed_at, within) = (UNIX_EPOCH + secs(1_000_000), |secs_max| Some(MaxAge::Of(secs(secs_max))));
    let forever = Some(MaxAge::Infinity);
    let tokens = Tokens::new("a secret of twenty bytes or more").unwrap();
    let default = tokens.sign_at(signed_at, "s", 1).unwrap();
    let minute = tokens.clone().max_age(secs(60)).sign_at(signed_at, "s", 1).unwrap();
    let millis = tokens.clone().max_age(Duration::from_millis(1_500)).sign_at(signed_at, "s", 1).unwrap();
    let infinite = tokens.clone().max_age(MaxAge::Infinity).sign_at(signed_at, "s", 1).unwrap();
    let (ok, expired, invalid) = (Ok(Term::Int(1)), Err(TokenError::Expired), Err(TokenError::Invalid));
    let table = [
        (&default, 0, None, &ok),
        (&default, 86_400_000, None, &ok),
        (&default, 86_400_001, None, &expired),
        (&default, 86_400_001, within(100_000), &ok),
        (&default, 10_001, within(10), &expired),
        (&default, 0, within(0), &expired),
        (&default, 1 << 50, forever, &ok),
        (&minute, 60_000, None, &ok),
        (&minute, 60_001, None, &expired),
        (&minute, 60_001, within(61), &ok),
        (&millis, 1_500, None, &ok),
        (&millis, 1_501, None, &expired),
        (&infinite, 1 << 50, None, &ok),
        (&infinite, 60_001, within(60), &expired),
        (&default, -1, None, &invalid),
        (&default, -1, forever, &ok),
        (&infinite, -1, None, &ok),
    ];
    for (token, after_ms, max_age, want) in table {
        let after = Duration::from_millis(i64::unsigned_abs(after_ms));
        let now = if after_ms < 0 { signed_at - after } else { signed_at + after };
        assert_eq!(tokens.verify_at(now, "s", &**token, max_age), *want, "{after_ms} ms, {max_age:?}");
    }
    let encrypted = tokens.clone().max_age(secs(60)).encrypt_at(signed_at, "s", 1).unwrap();
    assert_eq!(tokens.decrypt_at(signed_at + secs(60), "s", &*encrypted, None), ok);
    assert_eq!(tokens.decrypt_at(signed_at + secs(61), "s", &*encrypted, None), expired);
    assert_eq!(tokens.decrypt_at(signed_at - secs(1), "s", &*encrypted, None), invalid);
}

#[test]
fn the_forms_of_earlier_versions_are_read() {
    let tokens = Tokens::new("a secret of twenty bytes or more").unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(100_000);
    let signed = |payload: Term| {
        signed::sign(
            &payload.encode().unwrap(),
            &Key::derive(b"a secret of twenty bytes or more", "s", KeyOptions::default()),
        )
    };
    let atom = |name: &str| Term::Atom(name.to_owned());
    let (data, at) = (Term::from("x"), Term::Int(50_000_000));
    let pair = Term::Tuple(vec![data.clone(), at.clone()]);
    let map = Term::Map(vec![(atom("data"), data.clone()), (atom("signed"), at.clone())]);
    for old in [pair, map] {
        assert_eq!(tokens.verify_at(now, "s", &*signed(old), None), Ok(data.clone()));
    }
    let wrong = [
        Term::Tuple(vec![data.clone()]),
        Term::Tuple(vec![data.clone(), data.clone(), 1.into()]),
        Term::Tuple(vec![data.clone(), at.clone(), "60".into()]),
        Term::Tuple(vec![data.clone(), at, 1.into(), 1.into()]),
        Term::Map(vec![(atom("data"), data.clone())]),
        data,
    ];
    for payload in wrong {
        assert_eq!(
            tokens.verify_at(now, "s", &*signed(payload.clone()), None),
            Err(TokenError::Invalid),
            "{payload:?}"
        );
    }
    let key = Key::derive(b"a secret of twenty bytes or more", "s", KeyOptions::default());
    let function = signed::sign(&[131, 112, 0], &key);
    assert_eq!(
        tokens.verify_at(now, "s", &*function, None),
        Err(TokenError::Term(TermError::Unsupported(112)))
    );
}

#[test]
fn other_digests_are_verified() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let key = Key::derive(b"secret", "s", KeyOptions::default());
    let plain = format!("SFM1MTI.{}", URL_SAFE_NO_PAD.encode("data"));
    let mac = Hmac::<sha2::Sha512>::new_from_slice(key.as_bytes()).unwrap().chain_update(&plain).finalize();
    let signature = URL_SAFE_NO_PAD.encode(mac.into_bytes());
    assert_eq!(signed::verify(&format!("{plain}.{signature}"), &key), Some(b"data".to_vec()));
    assert_eq!(signed::verify(&format!("{}.{signature}", plain.replace("MTI", "zODQ")), &key), None);
    assert_eq!(signed::verify(&format!("SFMyNTY.{}.", URL_SAFE_NO_PAD.encode("data")), &key), None);
}

#[test]
fn secrets_are_rotated() {
    let (old, new) = ("the secret of last year", "the secret of this year");
    let (before, after) = (Tokens::new(old).unwrap(), Tokens::new(new).unwrap());
    let between = after.clone().rotated_from(old).unwrap();
    for tokens in [&before, &after, &between] {
        assert!(between.verify("s", &*tokens.sign("s", 1).unwrap()).is_ok());
        assert!(between.decrypt("s", &*tokens.encrypt("s", 1).unwrap()).is_ok());
    }
    assert!(after.verify("s", &*between.sign("s", 1).unwrap()).is_ok());
    assert_eq!(before.verify("s", &*between.sign("s", 1).unwrap()), Err(TokenError::Invalid));
    assert_eq!(Tokens::new("nineteen bytes long").unwrap_err(), SecretTooShort { len: 19 });
    assert!(!format!("{between:?}").contains("secret of"));
}

#[test]
fn keys_are_kept_for_so_many_salts() {
    let options = KeyOptions { iterations: 1, ..KeyOptions::default() };
    let tokens = Tokens::new("a secret of twenty bytes or more").unwrap().key_options(options);
    for salt in 0..1_100 {
        let salt = salt.to_string();
        assert!(tokens.verify(&salt, &*tokens.sign(&salt, 1).unwrap()).is_ok());
    }
    assert_eq!(tokens.kept(), 1_000);
}

proptest! {
    #![proptest_config(fuzz())]

    #[test]
    fn fuzz_a_changed_token_is_refused(data in ".{0,20}", at in any::<usize>(), to in "[A-Za-z0-9_.-]") {
        let options = KeyOptions { iterations: 1, ..KeyOptions::default() };
        let tokens = Tokens::new("a secret of twenty bytes or more").unwrap().key_options(options);
        let (signed, encrypted) = (tokens.sign("s", &*data).unwrap(), tokens.encrypt("s", &*data).unwrap());
        let change = |token: &str| {
            let mut token = token.to_owned();
            let at = at % token.len();
            token.replace_range(at..=at, &to);
            token
        };
        prop_assume!(change(&signed) != signed && change(&encrypted) != encrypted);
        prop_assert_eq!(tokens.verify("s", &*change(&signed)), Err(TokenError::Invalid));
        prop_assert_eq!(tokens.decrypt("s", &*change(&encrypted)), Err(TokenError::Invalid));
    }

    #[test]
    fn fuzz_no_text_is_a_token(text in prop_oneof![
        ".{0,200}",
        "(SFMyNTY|SFMzODQ|SFM1MTI|XCP|A128GCM)?(\\.[A-Za-z0-9_=-]{0,80}){0,6}",
    ]) {
        let options = KeyOptions { iterations: 1, ..KeyOptions::default() };
        let tokens = Tokens::new("a secret of twenty bytes or more").unwrap().key_options(options);
        prop_assert_eq!(tokens.verify("s", &*text), Err(TokenError::Invalid));
        prop_assert_eq!(tokens.decrypt("s", &*text), Err(TokenError::Invalid));
        prop_assert_eq!(tokens.decrypt("s", &*format!("XCP.{text}")), Err(TokenError::Invalid));
    }
}
