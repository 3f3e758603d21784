//! Secrets, and texts about the person who saved an exchange: a draft copies neither.

/// Parts of names whose values are secrets.
const SECRET: [&str; 17] = [
    "token",
    "secret",
    "passw",
    "pwd",
    "pin",
    "session",
    "cookie",
    "csrf",
    "xsrf",
    "jwt",
    "auth",
    "oauth",
    "authorization",
    "key",
    "sid",
    "otp",
    "credential",
];

/// Names of values about one person or account.
const PERSONAL: [&str; 25] = [
    "id",
    "uid",
    "user",
    "userid",
    "username",
    "login",
    "email",
    "mail",
    "account",
    "accountid",
    "accountnumber",
    "customer",
    "customerid",
    "member",
    "memberid",
    "client",
    "profile",
    "profileid",
    "person",
    "iban",
    "phone",
    "name",
    "firstname",
    "lastname",
    "sub",
];

/// Shortest text that is taken for a secret by its look.
const LONG: usize = 20;

/// A value by its name and its look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everybody may have the same.
    Common,
    /// A secret.
    Secret,
    /// A word about one person.
    Personal,
}

/// Tells the kind of a value by its name and its look.
pub fn kind(name: &str, value: &str) -> Kind {
    let lower = name.to_ascii_lowercase();
    let plain: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    // A short part is a word of its own in a name: `pin`, not `shipping`.
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let secret = |part: &str| match part {
        "key" => plain.ends_with("key"),
        part if part.len() <= 4 => words.contains(&part),
        part => plain.contains(part),
    };
    if SECRET.iter().any(|part| secret(part)) || looks_secret(value) {
        return Kind::Secret;
    }
    if PERSONAL.contains(&plain.as_str()) || value.contains('@') || value.to_ascii_lowercase().contains("%40")
    {
        return Kind::Personal;
    }
    Kind::Common
}

/// True if a text is as long and as mixed as only random ones are.
fn looks_secret(value: &str) -> bool {
    let value = value.trim();
    value.len() >= LONG
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+/=%".contains(&b))
        && value.bytes().any(|b| b.is_ascii_digit())
        && value.bytes().any(|b| b.is_ascii_alphabetic())
}

/// True if a segment of a path may be a person's id or a secret.
pub fn segment(text: &str) -> bool {
    let digits = text.len() >= 2 && text.bytes().all(|b| b.is_ascii_digit());
    digits || is_hex(text) || kind("", text) != Kind::Common
}

/// True if it is eight or more lower-case hexadecimal digits, hyphens among them.
pub fn is_hex(text: &str) -> bool {
    text.len() >= 8
        && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'))
        && text.bytes().any(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_persons_are_told_by_name_and_look() {
        for (name, value, expected) in [
            ("currency", "EUR", Kind::Common),
            ("shipping", "1", Kind::Common),
            ("limit", "500", Kind::Common),
            ("query", "query Viewer { viewer { id balance } }", Kind::Common),
            ("apiKey", "x", Kind::Secret),
            ("pin", "1234", Kind::Secret),
            ("access_token", "x", Kind::Secret),
            ("q", "eyJhbGciOiJIUzI1NiJ9.e30.x7", Kind::Secret),
            ("userId", "4711", Kind::Personal),
            ("id", "4711", Kind::Personal),
            ("account_id", "4711", Kind::Personal),
            ("q", "jane@example.org", Kind::Personal),
            ("q", "jane%40example.org", Kind::Personal),
        ] {
            assert_eq!(kind(name, value), expected, "{name}={value}");
        }
        for (text, private) in [
            ("v3", false),
            ("accounts", false),
            ("me", false),
            ("4711", true),
            ("0aff12bc", true),
            ("123e4567-e89b-12d3-a456-426614174000", true),
            ("jane@example.org", true),
            ("AbCdEfGh12345678IjKlMn", true),
            ("deadbeef", false),
        ] {
            assert_eq!(segment(text), private, "{text}");
        }
    }
}
