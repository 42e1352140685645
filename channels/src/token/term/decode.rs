//! Reads the external term format.
//!
//! Pure: bytes in, a term or an error out.

use super::{ATOM_CHARS_MAX, TERM_BYTES_MAX, TERM_DEPTH_MAX, Term, TermError};

pub(super) fn term(bytes: &[u8]) -> Result<Term, TermError> {
    if bytes.len() > TERM_BYTES_MAX {
        return Err(TermError::TooLarge);
    }
    let mut reader = Reader { rest: bytes };
    if reader.byte()? != super::encode::VERSION {
        return Err(TermError::Malformed);
    }
    let term = reader.term(TERM_DEPTH_MAX)?;
    if reader.rest.is_empty() { Ok(term) } else { Err(TermError::Malformed) }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], TermError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(TermError::Malformed)?;
        self.rest = rest;
        Ok(*array)
    }

    fn byte(&mut self) -> Result<u8, TermError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn short(&mut self) -> Result<usize, TermError> {
        self.array().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    /// A length of four bytes, which more than what is left would contradict: each element takes a byte at least.
    fn length(&mut self) -> Result<usize, TermError> {
        let length = u32::from_be_bytes(self.array()?);
        usize::try_from(length).ok().filter(|length| *length <= self.rest.len()).ok_or(TermError::Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], TermError> {
        let (part, rest) = self.rest.split_at_checked(length).ok_or(TermError::Malformed)?;
        self.rest = rest;
        Ok(part)
    }

    fn term(&mut self, depth: usize) -> Result<Term, TermError> {
        let depth = depth.checked_sub(1).ok_or(TermError::TooDeep)?;
        match self.byte()? {
            // NEW_FLOAT
            70 => finite(f64::from_be_bytes(self.array()?)),
            // SMALL_INTEGER
            97 => Ok(Term::Int(self.byte()?.into())),
            // INTEGER
            98 => Ok(Term::Int(i32::from_be_bytes(self.array()?).into())),
            // ATOM and SMALL_ATOM (Latin-1), ATOM_UTF8, SMALL_ATOM_UTF8
            100 => self.short().and_then(|length| self.latin1_atom(length)),
            115 => self.byte().and_then(|length| self.latin1_atom(length.into())),
            118 => self.short().and_then(|length| self.utf8_atom(length)),
            119 => self.byte().and_then(|length| self.utf8_atom(length.into())),
            // SMALL_TUPLE, LARGE_TUPLE
            104 => self.byte().and_then(|length| self.terms(length.into(), depth)).map(Term::Tuple),
            105 => self.length().and_then(|length| self.terms(length, depth)).map(Term::Tuple),
            // NIL, which is the empty list
            106 => Ok(Term::List(Vec::new())),
            // STRING, which is a list of bytes
            107 => {
                let length = self.short()?;
                Ok(Term::List(self.take(length)?.iter().map(|byte| Term::Int((*byte).into())).collect()))
            }
            // LIST
            108 => self.list(depth),
            // BINARY
            109 => {
                let length = self.length()?;
                self.take(length).map(|bytes| Term::Binary(bytes.to_vec()))
            }
            // SMALL_BIG, LARGE_BIG
            110 => self.byte().and_then(|length| self.big(length.into())),
            111 => self.length().and_then(|length| self.big(length)),
            // MAP
            116 => self.map(depth),
            other => Err(TermError::Unsupported(other)),
        }
    }

    fn terms(&mut self, length: usize, depth: usize) -> Result<Vec<Term>, TermError> {
        if length > self.rest.len() {
            return Err(TermError::Malformed);
        }
        (0..length).map(|_| self.term(depth)).collect()
    }

    /// Elements and a tail, which is the empty list where the list is proper.
    fn list(&mut self, depth: usize) -> Result<Term, TermError> {
        let length = self.length()?;
        let elements = self.terms(length, depth)?;
        match self.byte()? {
            106 => Ok(Term::List(elements)),
            other => Err(TermError::Unsupported(other)),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Term, TermError> {
        let length = self.length()?;
        let pair = |_| Ok((self.term(depth)?, self.term(depth)?));
        (0..length).map(pair).collect::<Result<_, _>>().map(Term::Map)
    }

    /// A sign, and the magnitude with its lowest byte first.
    fn big(&mut self, length: usize) -> Result<Term, TermError> {
        let negative = match self.byte()? {
            0 => false,
            1 => true,
            _ => return Err(TermError::Malformed),
        };
        let digits = self.take(length)?;
        let significant = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        let mut magnitude = [0; 16];
        magnitude.get_mut(..significant).ok_or(TermError::BigInt)?.copy_from_slice(&digits[..significant]);
        let magnitude = u128::from_le_bytes(magnitude);
        let int = if negative { 0_i128.checked_sub_unsigned(magnitude) } else { magnitude.try_into().ok() };
        int.map(Term::Int).ok_or(TermError::BigInt)
    }

    fn latin1_atom(&mut self, length: usize) -> Result<Term, TermError> {
        if length > ATOM_CHARS_MAX {
            return Err(TermError::LongAtom);
        }
        // The first 256 code points are Latin-1.
        Ok(Term::Atom(self.take(length)?.iter().map(|byte| char::from(*byte)).collect()))
    }

    fn utf8_atom(&mut self, length: usize) -> Result<Term, TermError> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| TermError::Malformed)?;
        if text.chars().count() > ATOM_CHARS_MAX {
            return Err(TermError::LongAtom);
        }
        Ok(Term::Atom(text.to_owned()))
    }
}

fn finite(float: f64) -> Result<Term, TermError> {
    if float.is_finite() { Ok(Term::Float(float)) } else { Err(TermError::Float) }
}
