//! Reasons for which a session is not accepted.

use core::fmt;

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal;)+) => {
        /// Why a session is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Refusal {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Refusal {
            /// Every refusal, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// A stable name, in kebab case.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }

        impl fmt::Display for Refusal {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)+
                })
            }
        }

        impl core::error::Error for Refusal {}
    };
}

refusals! {
    // 1. The notary's statement.
    /// The evidence or the statement in it does not decode.
    Evidence = "evidence-malformed", "the evidence is cut off, too long or of another version";
    /// The statement was signed by a notary that does not count.
    NotaryUnknown = "notary-unknown", "the notary is none of those that the survey lists";
    /// The notary's key did not count at the session's time.
    NotaryKeyExpired = "notary-key-expired", "the notary's key was not valid when the session ran";
    /// The signature is not the notary's.
    StatementSignature = "statement-signature", "the signature under the notary's statement does not verify";
    /// The session was notarized for another survey.
    StatementSurvey = "statement-survey", "the session was notarized for another survey";
    /// The notary dialled another server.
    StatementServer = "statement-server", "the notary connected to another server or port than the survey's";
    /// The notary dialled an address that the survey does not list.
    StatementAddress = "statement-address", "the notary connected to an address outside the survey's networks";
    /// The session ran outside the survey's time.
    StatementTime = "statement-time", "the session ran before the survey opened, after it closed, or in the future";
    /// The session took longer than any notary lets it, or ended before it began.
    StatementDuration = "statement-duration", "the session ended before it began, or took too long";
    /// The recorded bytes are not those that the notary signed.
    StatementBytes = "statement-bytes", "the recorded bytes are not those whose lengths and hashes the notary signed";

    // 2. Framing.
    /// A direction has more bytes than a session may.
    DirectionTooLong = "direction-too-long", "one direction has more than 256 KiB";
    /// A direction ends within a record.
    RecordCutOff = "record-cut-off", "a direction ends in the middle of a record";
    /// A record has a type that TLS 1.3 does not have.
    RecordType = "record-type", "a record is of an unknown type";
    /// A record names another version than TLS 1.3 prescribes.
    RecordVersion = "record-version", "a record names a wrong version";
    /// A record is empty, too long, or too short to hold a tag.
    RecordLength = "record-length", "a record is empty, too long or too short";
    /// A ChangeCipherSpec is malformed, misplaced or repeated.
    ChangeCipherSpec = "change-cipher-spec", "a ChangeCipherSpec is malformed, misplaced or repeated";
    /// A record after the hello is not protected.
    UnprotectedRecord = "unprotected-record", "a record after the hello is not encrypted";
    /// A direction does not begin with a whole hello.
    HelloMissing = "hello-missing", "a direction does not begin with a whole ClientHello or ServerHello";
    /// A hello shares its record with something else.
    HelloNotAlone = "hello-not-alone", "a hello does not fill its records";

    // 3. Hellos.
    /// The ClientHello's syntax is wrong.
    ClientHello = "client-hello", "the ClientHello is malformed";
    /// An extension occurs twice in one message.
    RepeatedExtension = "repeated-extension", "an extension occurs twice in one message";
    /// The client offers to resume a session.
    Resumption = "resumption", "the ClientHello offers a resumed session";
    /// The client offers early data.
    EarlyData = "early-data", "the ClientHello offers early data";
    /// The client offers something that changes the meaning of other checks.
    ClientExtension = "client-extension", "the ClientHello has an extension that is not admitted";
    /// The server's name is missing, repeated or another.
    ServerName = "server-name", "the ClientHello does not name exactly the expected server";
    /// The client offers other protocols than HTTP/1.1.
    ClientAlpn = "client-alpn", "the ClientHello offers other protocols than http/1.1";
    /// The ServerHello's syntax is wrong.
    ServerHello = "server-hello", "the ServerHello is malformed";
    /// The server asked for another key share.
    HelloRetryRequest = "hello-retry-request", "the server asked for another key share (HelloRetryRequest)";
    /// The negotiated version is not TLS 1.3.
    Version = "version", "the connection is not TLS 1.3";
    /// The server did not echo the session id.
    SessionId = "session-id", "the ServerHello does not repeat the client's session id";
    /// The server chose a suite that cannot be proven.
    Suite = "suite", "the server chose a cipher suite other than AES-128-GCM or ChaCha20-Poly1305 with SHA-256";
    /// The server chose a suite that was not offered.
    SuiteNotOffered = "suite-not-offered", "the server chose a cipher suite that the client did not offer";
    /// The ServerHello has other extensions than TLS 1.3 prescribes.
    ServerExtension = "server-extension", "the ServerHello's extensions are not exactly version and key share";
    /// The server's key share belongs to a group for which the client sent none.
    KeyShare = "key-share", "the server's key share is of a group for which the client sent none";

    // 4. The server's flight.
    /// The server's handshake record does not open under its traffic secret.
    ServerRecord = "server-record", "a record of the server's handshake does not open under its traffic secret";
    /// The server's handshake holds a record of another inner type.
    ServerInnerType = "server-inner-type", "a record of the server's handshake holds something else or nothing";
    /// The server's flight does not end.
    ServerFlightCutOff = "server-flight-cut-off", "the server's handshake ends before its Finished";
    /// The server's messages are not those of a handshake with a certificate.
    ServerMessages = "server-messages", "the server's handshake messages are not the expected ones in order";
    /// The server's Finished does not end its record.
    ServerFinishedNotLast = "server-finished-not-last", "the server's Finished does not end its record";
    /// A message of the server's flight has wrong syntax.
    ServerMessage = "server-message", "a message of the server's handshake is malformed";
    /// EncryptedExtensions has something that was not offered or is not admitted.
    EncryptedExtension = "encrypted-extension", "EncryptedExtensions has an extension that is not admitted";
    /// The server chose another protocol than HTTP/1.1.
    ServerAlpn = "server-alpn", "the server chose another protocol than http/1.1";
    /// The Certificate message has a context.
    CertificateContext = "certificate-context", "the server's Certificate message has a context";
    /// A certificate carries something that was not offered or is not admitted.
    CertificateExtension = "certificate-extension", "a certificate carries an extension that is not admitted";
    /// The chain has no certificate or too many.
    ChainLength = "chain-length", "the server sent no certificate, or too many";
    /// A certificate was not valid at the session's time.
    ChainTime = "chain-time", "a certificate of the server was not valid when the session ran";
    /// The certificate is for another name.
    ChainName = "chain-name", "the server's certificate is for another name";
    /// The chain does not lead to a trusted root.
    Chain = "chain", "the server's certificates do not lead to a trusted root, or may not be used for servers";
    /// The server signed with a scheme that is not admitted or was not offered.
    SignatureScheme = "signature-scheme", "the server signed with a scheme that is not admitted or was not offered";
    /// The server's signature over the handshake is wrong.
    CertificateVerify = "certificate-verify", "the server's signature over the handshake does not verify";
    /// The server's Finished is wrong.
    ServerFinished = "server-finished", "the server's Finished does not match the handshake";

    // 5. The client's flight.
    /// The client's handshake record does not open under its traffic secret.
    ClientRecord = "client-record", "a record of the client's handshake does not open under its traffic secret";
    /// The client's handshake holds a record of another inner type.
    ClientInnerType = "client-inner-type", "a record of the client's handshake holds something else or nothing";
    /// The client's handshake is padded.
    ClientPadding = "client-padding", "a record of the client's handshake is padded";
    /// The client's flight does not end.
    ClientFlightCutOff = "client-flight-cut-off", "the client's handshake ends before its Finished";
    /// The client's messages are not those of a handshake without a client certificate.
    ClientMessages = "client-messages", "the client's handshake messages are not the expected ones in order";
    /// The client's Finished does not end its record.
    ClientFinishedNotLast = "client-finished-not-last", "the client's Finished does not end its record";
    /// The client sent a certificate.
    ClientCertificate = "client-certificate", "the client sent a certificate, which would be shown to everybody";
    /// The client's Finished is wrong.
    ClientFinished = "client-finished", "the client's Finished does not match the handshake";

    // 6. Application records.
    /// The handshake secret is not this session's.
    HandshakeSecret = "handshake-secret", "the handshake secret is not this session's";
    /// An application record does not open.
    ApplicationRecord = "application-record", "an application record does not open under the session's keys";
    /// The layout does not decode.
    Layout = "layout-malformed", "the layout of the application records is malformed";
    /// The layout belongs to other records.
    LayoutRecords = "layout-records", "the layout does not describe the records that were recorded";
    /// A record has an inner type that its direction may not have.
    InnerType = "inner-type", "an application record is of a type that its direction may not have";
    /// The server sent something other than tickets after its handshake.
    PostHandshake = "post-handshake", "the server sent a handshake message other than a ticket after its handshake";
    /// A side changed its keys.
    KeyUpdate = "key-update", "a side changed its keys during the session (KeyUpdate)";
    /// A ticket does not fill its record.
    TicketRecord = "ticket-record", "the messages of a ticket record do not fill it";
    /// An alert is not close_notify.
    Alert = "alert", "a side sent an alert other than close_notify";
    /// Something follows close_notify.
    AfterClose = "after-close", "something follows close_notify";
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;

    #[test]
    fn codes_are_unique_and_in_kebab_case() {
        let codes: BTreeSet<_> = Refusal::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
        assert!(codes.iter().all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        assert!(Refusal::ALL.iter().all(|r| !r.to_string().is_empty()));
    }
}
