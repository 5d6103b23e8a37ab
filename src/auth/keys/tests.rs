use super::*;
use ring::rand::SystemRandom;

/// The key pair of RFC 8410 section 10.3, PKCS#8 version 1, as `openssl genpkey -algorithm ed25519` writes it.
const RFC8410_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const RFC8410_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
const RFC8410_RAW: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

fn load(path: &Path) -> Result<SigningKey, KeyError> {
    SigningKey::load_or_create(path, &SystemRandom::new())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn error_of<T>(result: Result<T, KeyError>) -> String {
    result.err().expect("must be refused").to_string()
}

#[test]
fn the_first_start_makes_a_private_file_and_later_ones_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signing-key");
    // A start that was killed while it wrote leaves this behind.
    fs::write(dir.path().join("signing-key.new"), "half").unwrap();
    let first = load(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    let again = load(&path).unwrap();
    assert_eq!((first.kid(), first.public), (again.kid(), again.public));
    let other = load(&dir.path().join("other-key")).unwrap();
    assert_ne!(first.public, other.public);
}

#[test]
fn a_key_that_others_have_rights_to_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signing-key");
    load(&path).unwrap();
    for mode in [0o640, 0o604, 0o644, 0o620, 0o601] {
        set_mode(&path, mode);
        let message = error_of(load(&path));
        assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
        assert!(message.contains(&format!("{mode:04o}")), "{message}");
    }
    set_mode(&path, 0o400);
    assert!(load(&path).is_ok());
}

#[test]
fn a_broken_key_file_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("signing-key");
    load(&path).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let one_line = good.replace('\n', "");
    for broken in ["", "garbage", &good[..60], RFC8410_PUBLIC, &one_line] {
        fs::write(&path, broken).unwrap();
        let message = error_of(load(&path));
        assert!(message.contains(path.to_str().unwrap()), "{message}");
        assert!(!message.contains(&good[40..60]), "key material in {message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), broken);
    }
}

#[test]
fn a_missing_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absent").join("signing-key");
    assert!(error_of(load(&path)).contains(path.to_str().unwrap()));
}

#[test]
fn a_key_made_by_openssl_is_taken() {
    let key = SigningKey::from_pem(RFC8410_PRIVATE.as_bytes()).unwrap();
    assert_eq!(STANDARD.encode(key.public), RFC8410_RAW);
}

#[test]
fn every_spelling_of_a_public_key_is_the_same_key() {
    let raw = STANDARD.decode(RFC8410_RAW).unwrap();
    let der = [&ED25519_SPKI_PREFIX[..], &raw].concat();
    let spellings: [&[u8]; 8] = [
        RFC8410_PUBLIC.as_bytes(),
        &der,
        RFC8410_RAW.as_bytes(),
        b"  Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE\n",
        &URL_SAFE_NO_PAD.encode(&raw).into_bytes(),
        &URL_SAFE.encode(&raw).into_bytes(),
        &STANDARD.encode(&der).into_bytes(),
        &STANDARD_NO_PAD.encode(&der).into_bytes(),
    ];
    for spelling in spellings {
        let key = VerifyKey::ed25519(None, spelling).map_err(|error| error.to_string()).unwrap();
        assert_eq!(key.bytes(), raw, "{}", String::from_utf8_lossy(spelling));
    }
    let wrong: [&[u8]; 7] =
        [b"", b"AAAA", &raw, &der[..43], RFC8410_PRIVATE.as_bytes(), &RFC8410_PUBLIC.as_bytes()[..50], b"-----BEGIN"];
    for wrong in wrong {
        assert!(matches!(VerifyKey::ed25519(None, wrong), Err(KeyError::NotAnEd25519PublicKey)));
    }
}

#[test]
fn secrets_must_be_long_and_secret() {
    assert!(error_of(VerifyKey::hs256(None, &[7; 31])).contains("31"));
    assert!(VerifyKey::hs256(None, &[7; 32]).is_ok());
    assert!(matches!(VerifyKey::hs256(None, RFC8410_PUBLIC.as_bytes()), Err(KeyError::SecretIsPem)));
    let raw = STANDARD.decode(RFC8410_RAW).unwrap();
    let own = || SigningKey::from_pem(RFC8410_PRIVATE.as_bytes()).unwrap();
    for public in [raw.clone(), RFC8410_RAW.as_bytes().to_vec(), [&ED25519_SPKI_PREFIX[..], &raw].concat()] {
        let secret = VerifyKey::hs256(None, &public).unwrap();
        assert!(matches!(KeyRing::new(own(), vec![secret]), Err(KeyError::SecretIsPublicKey)));
    }
    assert!(KeyRing::new(own(), vec![VerifyKey::hs256(None, &[7; 32]).unwrap()]).is_ok());
}

#[test]
fn key_ids_must_differ() {
    let own = SigningKey::from_pem(RFC8410_PRIVATE.as_bytes()).unwrap();
    let named = |byte: u8| VerifyKey::hs256(Some("backend".to_owned()), &[byte; 32]).unwrap();
    assert!(error_of(KeyRing::new(own, vec![named(1), named(2)])).contains("backend"));
    let own = SigningKey::from_pem(RFC8410_PRIVATE.as_bytes()).unwrap();
    let taken = VerifyKey::hs256(Some(own.kid().to_owned()), &[1; 32]).unwrap();
    assert!(matches!(KeyRing::new(own, vec![taken]), Err(KeyError::DuplicateKid { .. })));
}
