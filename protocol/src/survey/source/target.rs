//! Request targets: a path with at most one open segment, and query parameters as they mean.

/// The texts that the open segment of a path admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Decimal digits without a leading zero.
    Digits,
    /// Lower-case hexadecimal digits.
    Hex,
    /// A UUID in lower case.
    Uuid,
    /// Unreserved characters (RFC 3986) without capitals; neither `.` nor `..`.
    Name,
}

impl Form {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "digits" => Self::Digits,
            "hex" => Self::Hex,
            "uuid" => Self::Uuid,
            "name" => Self::Name,
            _ => return None,
        })
    }

    /// Its name in a survey file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Hex => "hex",
            Self::Uuid => "uuid",
            Self::Name => "name",
        }
    }

    /// True if a segment has this form.
    pub fn admits(self, segment: &str) -> bool {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let length = (1..=128).contains(&segment.len());
        length
            && match self {
                Self::Digits => {
                    segment.bytes().all(|b| b.is_ascii_digit())
                        && (segment == "0" || !segment.starts_with('0'))
                }
                Self::Hex => segment.bytes().all(hex),
                Self::Uuid => {
                    segment.len() == 36
                        && segment.bytes().enumerate().all(|(i, b)| match i {
                            8 | 13 | 18 | 23 => b == b'-',
                            _ => hex(b),
                        })
                }
                Self::Name => {
                    let plain = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~');
                    segment.bytes().all(plain) && segment != "." && segment != ".."
                }
            }
    }
}

/// The path of a survey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    /// The text in front of the open segment; the whole path if there is none.
    before: String,
    /// The open segment's name and form, and the text behind it.
    open: Option<(String, Form, String)>,
}

impl PathTemplate {
    /// Reads a path such as `/v1/users/{id:digits}/account`. The error names the fault.
    pub fn parse(path: &str) -> Result<Self, &'static str> {
        let visible = path.bytes().all(|b| b.is_ascii_graphic());
        if !path.starts_with('/') || path.len() > 1024 || !visible || path.contains(['?', '#']) {
            return Err("write the path alone, beginning with /, without ? or #");
        }
        let Some((before, rest)) = path.split_once('{') else {
            return if path.contains('}') {
                Err("a } without {: an open segment is written {name}")
            } else {
                Ok(Self { before: path.into(), open: None })
            };
        };
        let Some((inside, after)) = rest.split_once('}') else {
            return Err("an open segment is written {name} or {name:form}");
        };
        if after.contains(['{', '}']) {
            return Err("at most one segment of the path may be open");
        }
        if !before.ends_with('/') || !(after.is_empty() || after.starts_with('/')) {
            return Err("an open segment is a whole segment: /users/{id}/account");
        }
        let (name, form) = match inside.split_once(':') {
            Some((name, form)) => (name, Form::parse(form)),
            None => (inside, Some(Form::Digits)),
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            return Err("an open segment has a name of lower-case letters: {id}");
        }
        let Some(form) = form else {
            return Err("an open segment is of the form digits, hex, uuid or name: {id:uuid}");
        };
        Ok(Self { before: before.into(), open: Some((name.into(), form, after.into())) })
    }

    /// The open segment's name and form.
    pub fn open(&self) -> Option<(&str, Form)> {
        self.open.as_ref().map(|(name, form, _)| (name.as_str(), *form))
    }

    /// Compares a request's path. Gives the open segment's text, empty where the path has none; nothing if the path is
    /// another one.
    pub fn matches<'a>(&self, path: &'a str) -> Option<&'a str> {
        match &self.open {
            None => (path == self.before).then_some(""),
            Some((_, form, after)) => {
                let segment = path.strip_prefix(self.before.as_str())?.strip_suffix(after.as_str())?;
                form.admits(segment).then_some(segment)
            }
        }
    }
}

/// A query's parameters, decoded: percent-encoding (RFC 3986), and `+` for a space. The error names the fault.
pub fn query(text: &str) -> Result<Vec<(String, String)>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.contains(';') {
        return Err("the query has a semicolon, which some servers take for &".into());
    }
    text.split('&').map(pair).collect()
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let bad = |what: &str| format!("the query parameter \"{}\" {what}", text.escape_debug());
    let name = decode(name).ok_or_else(|| bad("cannot be decoded"))?;
    let value = decode(value).ok_or_else(|| bad("cannot be decoded"))?;
    if name.is_empty() {
        return Err(bad("has no name"));
    }
    if name.contains(['[', ']']) {
        return Err(bad("has a name in brackets, which some servers take for another name"));
    }
    Ok((name, value))
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            b => b,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_segments_have_their_form() {
        let path = |t| PathTemplate::parse(t).unwrap();
        let users = path("/v1/users/{id}/account");
        assert_eq!(users.open(), Some(("id", Form::Digits)));
        for (given, segment) in [
            ("/v1/users/77/account", Some("77")),
            ("/v1/users/0/account", Some("0")),
            ("/v1/users/077/account", None),
            ("/v1/users//account", None),
            ("/v1/users/7a/account", None),
            ("/v1/users/7%37/account", None),
            ("/v1/users/77/../78/account", None),
            ("/v1/users/77", None),
            ("/v1/users/account", None),
            ("/v1/users/77/account/", None),
        ] {
            assert_eq!(users.matches(given), segment, "{given}");
        }
        assert_eq!(
            path("/u/{u:uuid}").matches("/u/123e4567-e89b-12d3-a456-426614174000"),
            Some("123e4567-e89b-12d3-a456-426614174000")
        );
        assert_eq!(path("/u/{u:uuid}").matches("/u/123E4567-e89b-12d3-a456-426614174000"), None);
        assert_eq!(path("/u/{u:hex}").matches("/u/0aff"), Some("0aff"));
        assert_eq!(path("/u/{u:name}").matches("/u/jane.doe"), Some("jane.doe"));
        for bad in ["/u/..", "/u/.", "/u/Jane", "/u/a@b", "/u/a/b"] {
            assert_eq!(path("/u/{u:name}").matches(bad), None, "{bad}");
        }
        assert_eq!(path("/a").matches("/a"), Some(""));
        for bad in ["a", "/a?b", "/{a}/{b}", "/x{a}", "/{a}x", "/{}", "/{A}", "/{a:b}", "/{a", "/a}", "/ä"] {
            assert!(PathTemplate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let of =
            |t: &str| query(t).map(|q| q.into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>());
        assert_eq!(of("").unwrap(), Vec::<String>::new());
        assert_eq!(of("account=own&%61ccount=a%20b+c").unwrap(), ["account=own", "account=a b c"]);
        assert_eq!(of("a").unwrap(), ["a="]);
        for bad in
            ["a;b=1", "=1", "&", "a&", "a%5b%5d=1", "a[]=1", "a=%", "a=%4", "a=%zz", "a=%ff", "a=1;b=2"]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
