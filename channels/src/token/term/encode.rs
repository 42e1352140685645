//! Writes the external term format, byte for byte as Erlang's `term_to_binary` does (since OTP 26, for atoms).
//!
//! Pure: a term in, bytes or an error out.

use super::{ATOM_CHARS_MAX, TERM_BYTES_MAX, TERM_DEPTH_MAX, Term, TermError};

/// The first byte of every term.
pub(super) const VERSION: u8 = 131;

pub(super) fn term(term: &Term) -> Result<Vec<u8>, TermError> {
    let mut bytes = vec![VERSION];
    write(&mut bytes, term, TERM_DEPTH_MAX)?;
    if bytes.len() > TERM_BYTES_MAX { Err(TermError::TooLarge) } else { Ok(bytes) }
}

fn write(bytes: &mut Vec<u8>, term: &Term, depth: usize) -> Result<(), TermError> {
    let depth = depth.checked_sub(1).ok_or(TermError::TooDeep)?;
    match term {
        Term::Atom(atom) => write_atom(bytes, atom),
        Term::Int(int) => {
            write_int(bytes, *int);
            Ok(())
        }
        Term::Float(float) if float.is_finite() => {
            bytes.push(70);
            bytes.extend(float.to_be_bytes());
            Ok(())
        }
        Term::Float(_) => Err(TermError::Float),
        Term::Binary(binary) => {
            bytes.push(109);
            bytes.extend(length(binary.len())?);
            bytes.extend(binary);
            Ok(())
        }
        Term::List(terms) => write_list(bytes, terms, depth),
        Term::Tuple(terms) => {
            match u8::try_from(terms.len()) {
                Ok(length) => bytes.extend([104, length]),
                Err(_) => {
                    bytes.push(105);
                    bytes.extend(length(terms.len())?);
                }
            }
            terms.iter().try_for_each(|term| write(bytes, term, depth))
        }
        Term::Map(pairs) => {
            bytes.push(116);
            bytes.extend(length(pairs.len())?);
            pairs.iter().flat_map(|(key, value)| [key, value]).try_for_each(|term| write(bytes, term, depth))
        }
    }
}

fn length(length: usize) -> Result<[u8; 4], TermError> {
    u32::try_from(length).map(u32::to_be_bytes).map_err(|_| TermError::TooLarge)
}

fn write_atom(bytes: &mut Vec<u8>, atom: &str) -> Result<(), TermError> {
    if atom.chars().count() > ATOM_CHARS_MAX {
        return Err(TermError::LongAtom);
    }
    match u8::try_from(atom.len()) {
        Ok(length) => bytes.extend([119, length]),
        Err(_) => {
            let length = u16::try_from(atom.len()).map_err(|_| TermError::LongAtom)?;
            bytes.push(118);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(atom.as_bytes());
    Ok(())
}

fn write_int(bytes: &mut Vec<u8>, int: i128) {
    if let Ok(int) = u8::try_from(int) {
        bytes.extend([97, int]);
    } else if let Ok(int) = i32::try_from(int) {
        bytes.push(98);
        bytes.extend(int.to_be_bytes());
    } else {
        let magnitude = int.unsigned_abs().to_le_bytes();
        let length = magnitude.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        bytes.extend([110, u8::try_from(length).expect("invariant: at most 16"), u8::from(int < 0)]);
        bytes.extend(&magnitude[..length]);
    }
}

/// A list of bytes, if it is not too long, has a form of its own.
fn write_list(bytes: &mut Vec<u8>, terms: &[Term], depth: usize) -> Result<(), TermError> {
    if terms.is_empty() {
        bytes.push(106);
        return Ok(());
    }
    if let (Ok(length), Some(string)) = (u16::try_from(terms.len()), as_bytes(terms)) {
        bytes.push(107);
        bytes.extend(length.to_be_bytes());
        bytes.extend(string);
        return Ok(());
    }
    bytes.push(108);
    bytes.extend(length(terms.len())?);
    terms.iter().try_for_each(|term| write(bytes, term, depth))?;
    bytes.push(106);
    Ok(())
}

fn as_bytes(terms: &[Term]) -> Option<Vec<u8>> {
    terms.iter().map(|term| term.as_int().and_then(|int| u8::try_from(int).ok())).collect()
}
