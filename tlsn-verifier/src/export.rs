//! The forms in which other tools give out presentations: tlsn-js and the browser extension write JSON around
//! hexadecimal, others hexadecimal alone.

use std::borrow::Cow;

/// Why a text is no presentation in another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// JSON without a presentation in it.
    #[error("this JSON has no member \"data\" with a presentation in hexadecimal, as tlsn-js writes it")]
    Json,
    /// JSON of another release.
    #[error(
        "this JSON is of a TLSNotary release that is not supported: 0.1.0-alpha.12, alpha.14 and alpha.15 are"
    )]
    Version,
    /// Hexadecimal digits that are none.
    #[error("the presentation's hexadecimal has an odd number of digits, or something else among them")]
    Hex,
}

/// A presentation's bytes: as they are, or out of the JSON or hexadecimal around them.
///
/// Presentations in binary begin with a length of 0x40 or less, so no text is ever taken for one.
pub fn presentation_bytes(file: &[u8]) -> Result<Cow<'_, [u8]>, ExportError> {
    let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file).trim_ascii();
    match text.first() {
        Some(b'{') => from_json(text).map(Cow::Owned),
        Some(b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
            if text.len() >= 64 && text.iter().take(64).all(u8::is_ascii_hexdigit) =>
        {
            from_hex(text).map(Cow::Owned)
        }
        _ => Ok(Cow::Borrowed(file)),
    }
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, ExportError> {
    hex::decode(text.strip_prefix(b"0x").unwrap_or(text)).map_err(|_| ExportError::Hex)
}

fn from_json(text: &[u8]) -> Result<Vec<u8>, ExportError> {
    let value: serde_json::Value = serde_json::from_slice(text).map_err(|_| ExportError::Json)?;
    if let Some(version) = value.get("version").and_then(|v| v.as_str())
        && !["0.1.0-alpha.12", "0.1.0-alpha.14", "0.1.0-alpha.15"].contains(&version)
    {
        return Err(ExportError::Version);
    }
    let data = value.get("data").and_then(|d| d.as_str()).ok_or(ExportError::Json)?;
    from_hex(data.trim().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_other_tools_are_read() {
        let bytes: Vec<u8> = (0..64).collect();
        let hex = hex::encode(&bytes);
        let of = |text: String| presentation_bytes(text.as_bytes()).map(Cow::into_owned);
        assert_eq!(presentation_bytes(&bytes).unwrap(), &bytes[..]);
        assert_eq!(of(hex.clone()), Ok(bytes.clone()));
        assert_eq!(of(format!(" {}\n", hex.to_uppercase())), Ok(bytes.clone()));
        assert_eq!(
            of(format!("{{\"version\":\"0.1.0-alpha.12\",\"data\":\"{hex}\",\"meta\":{{}}}}")),
            Ok(bytes.clone())
        );
        assert_eq!(of(format!("{{\"data\":\"{hex}\"}}")), Ok(bytes));
        assert_eq!(of(format!("{hex}0")), Err(ExportError::Hex));
        assert_eq!(of("{\"data\":\"xx\"}".into()), Err(ExportError::Hex));
        assert_eq!(of("{\"version\":\"0.1.0-alpha.7\",\"data\":\"00\"}".into()), Err(ExportError::Version));
        assert_eq!(of("{\"dat\":1}".into()), Err(ExportError::Json));
        assert_eq!(of("{".into()), Err(ExportError::Json));
    }
}
