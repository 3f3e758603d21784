//! The S3 operations over [`Objects`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::MAX_OBJECT;
use super::format::{Algorithm, Field, Header};
use super::listing::{Entry, Query, percent_encode};
use super::objects::{Condition, Object as Stored, Objects, Refused};

/// Bytes read from an object's file at a time.
const CHUNK: usize = 256 * 1024;
/// Entries on a page unless fewer are asked for: S3's own limit.
const MAX_PAGE: usize = 1000;
/// Largest user metadata, names and values together: S3's own limit.
const MAX_METADATA: usize = 2048;

/// The service given to `s3s`.
pub(super) struct Api {
    objects: Arc<Objects>,
}

impl Api {
    pub fn new(objects: Arc<Objects>) -> Api {
        Api { objects }
    }

    /// Runs a file operation off the async threads. It goes on if the client hangs up meanwhile.
    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Objects) -> Result<T, Refused> + Send + 'static,
    ) -> S3Result<T> {
        let objects = self.objects.clone();
        match tokio::task::spawn_blocking(move || run(&objects)).await {
            Ok(result) => result.map_err(S3Error::from),
            Err(e) => Err(s3_error!(e, InternalError, "The operation did not finish")),
        }
    }
}

impl From<Refused> for S3Error {
    fn from(refused: Refused) -> S3Error {
        match refused {
            Refused::NoSuchBucket => s3_error!(NoSuchBucket, "The bucket does not exist"),
            Refused::BucketExists => s3_error!(BucketAlreadyOwnedByYou, "The bucket exists already"),
            Refused::BucketNotEmpty => s3_error!(BucketNotEmpty, "The bucket still holds objects"),
            Refused::NoSuchKey => s3_error!(NoSuchKey, "There is no object with this key"),
            Refused::Precondition => {
                s3_error!(PreconditionFailed, "At least one of the preconditions does not hold")
            }
            Refused::Io(e) => {
                tracing::error!(error = %e, "object store");
                s3_error!(e, InternalError, "The object store's folder could not be used")
            }
        }
    }
}

#[async_trait::async_trait]
impl S3 for Api {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = req.input.bucket;
        if !s3s::path::check_bucket_name(&bucket) {
            return Err(s3_error!(InvalidBucketName));
        }
        let location = Some(format!("/{bucket}"));
        self.blocking(move |o| o.create_bucket(&bucket)).await?;
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.blocking(move |o| o.delete_bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.require_bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.require_bucket(&req.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(
        &self,
        _req: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let bucket = |name| Bucket { name: Some(name), ..Default::default() };
        let buckets = self.objects.buckets().into_iter().map(bucket).collect();
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..Default::default() }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let S3Request { mut input, trailing_headers, .. } = req;
        let condition = write_condition(input.if_match.take(), input.if_none_match.take())?;
        if input.write_offset_bytes.is_some() {
            return Err(s3_error!(NotImplemented, "Appending is not supported"));
        }
        let declared = input.content_length.and_then(|n| usize::try_from(n).ok());
        let body = input.body.take().ok_or_else(|| s3_error!(IncompleteBody))?;
        let body = collect(body, declared).await?;

        let trailer = |name: &str| -> Option<String> {
            let read = |h: &http::HeaderMap| h.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
            trailing_headers.as_ref()?.read(read).flatten()
        };
        let requested = input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str);
        let mut checksums = BTreeMap::new();
        for (algorithm, name, declared) in [
            (Algorithm::Crc32, ChecksumAlgorithm::CRC32, input.checksum_crc32.take()),
            (Algorithm::Crc32c, ChecksumAlgorithm::CRC32C, input.checksum_crc32c.take()),
            (Algorithm::Crc64nvme, ChecksumAlgorithm::CRC64NVME, input.checksum_crc64nvme.take()),
            (Algorithm::Sha1, ChecksumAlgorithm::SHA1, input.checksum_sha1.take()),
            (Algorithm::Sha256, ChecksumAlgorithm::SHA256, input.checksum_sha256.take()),
        ] {
            let header = format!("x-amz-checksum-{}", name.to_ascii_lowercase());
            let declared = declared.or_else(|| trailer(&header));
            if declared.is_none() && requested != Some(name) {
                continue;
            }
            let actual = checksum(algorithm, &body);
            if declared.is_some_and(|d| d != actual) {
                return Err(s3_error!(BadDigest, "The body does not have the declared {header}"));
            }
            checksums.insert(algorithm, actual);
        }
        let md5 = Md5::checksum(&body);
        if input.content_md5.as_ref().is_some_and(|d| *d != BASE64.encode(md5)) {
            return Err(s3_error!(BadDigest, "The body does not have the declared Content-MD5"));
        }

        let header = Header {
            key: input.key,
            length: body.len() as u64,
            e_tag: hex::encode(md5),
            modified_ms: now_ms(),
            fields: [
                (Field::ContentType, input.content_type),
                (Field::ContentEncoding, input.content_encoding),
                (Field::ContentDisposition, input.content_disposition),
                (Field::ContentLanguage, input.content_language),
                (Field::CacheControl, input.cache_control),
            ]
            .into_iter()
            .filter_map(|(field, value)| Some((field, value?)))
            .collect(),
            metadata: user_metadata(input.metadata)?,
            checksums,
        };
        let mut output =
            PutObjectOutput { e_tag: Some(ETag::Strong(header.e_tag.clone())), ..Default::default() };
        let sums = Checksums::of(&header);
        (output.checksum_crc32, output.checksum_crc32c) = (sums.crc32, sums.crc32c);
        (output.checksum_crc64nvme, output.checksum_sha1) = (sums.crc64nvme, sums.sha1);
        output.checksum_sha256 = sums.sha256;
        let bucket = input.bucket;
        self.blocking(move |o| o.put(&bucket, header, &body, &condition)).await?;
        Ok(S3Response::new(output))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        if input.range.is_some() || input.part_number.is_some() || input.version_id.is_some() {
            return Err(s3_error!(NotImplemented, "Ranges, parts and versions of HEAD are not supported"));
        }
        let object = self.objects.head(&input.bucket, &input.key)?;
        read_condition(&object.header, input.if_match, input.if_none_match)?;
        let header = &object.header;
        let sums = Checksums::of(header);
        let field = |f| header.fields.get(&f).cloned();
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(header.length).ok(),
            e_tag: Some(ETag::Strong(header.e_tag.clone())),
            last_modified: Some(modified(header)),
            metadata: given_metadata(header),
            content_type: field(Field::ContentType),
            content_encoding: field(Field::ContentEncoding),
            content_disposition: field(Field::ContentDisposition),
            content_language: field(Field::ContentLanguage),
            cache_control: field(Field::CacheControl),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            ..Default::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        if input.part_number.is_some() || input.version_id.is_some() {
            return Err(s3_error!(NotImplemented, "Parts and versions are not supported"));
        }
        let (object, file) = self.objects.open_object(&input.bucket, &input.key)?;
        read_condition(&object.header, input.if_match, input.if_none_match)?;
        let header = &object.header;
        let range = match input.range {
            None => 0..header.length,
            Some(_) if header.length == 0 => return Err(s3_error!(InvalidRange, "The object is empty")),
            Some(range) => range.check(header.length)?,
        };
        let length = range.end - range.start;
        let content_range = input
            .range
            .map(|_| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), header.length));
        // A checksum is that of the whole object: with a part of it, it would only be taken for an error.
        let sums = if length == header.length { Checksums::of(header) } else { Checksums::default() };
        let field = |f| header.fields.get(&f).cloned();
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(StreamingBlob::wrap(read_file(file, object.offset + range.start, length))),
            content_length: i64::try_from(length).ok(),
            content_range,
            e_tag: Some(ETag::Strong(header.e_tag.clone())),
            last_modified: Some(modified(header)),
            metadata: given_metadata(header),
            content_type: input.response_content_type.or_else(|| field(Field::ContentType)),
            content_encoding: input.response_content_encoding.or_else(|| field(Field::ContentEncoding)),
            content_disposition: input
                .response_content_disposition
                .or_else(|| field(Field::ContentDisposition)),
            content_language: input.response_content_language.or_else(|| field(Field::ContentLanguage)),
            cache_control: input.response_cache_control.or_else(|| field(Field::CacheControl)),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = req.input;
        if input.version_id.is_some() || input.if_match.is_some() {
            return Err(s3_error!(NotImplemented, "Versions and conditional deletion are not supported"));
        }
        self.blocking(move |o| o.delete(&input.bucket, &input.key)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        let deleted = self
            .blocking(move |o| {
                let delete_one = |id: ObjectIdentifier| {
                    o.delete(&bucket, &id.key)?;
                    Ok(DeletedObject { key: Some(id.key), ..Default::default() })
                };
                delete.objects.into_iter().map(delete_one).collect::<Result<Vec<_>, Refused>>()
            })
            .await?;
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), ..Default::default() }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let url = match input.encoding_type.as_ref().map(EncodingType::as_str) {
            None => false,
            Some(EncodingType::URL) => true,
            Some(_) => return Err(s3_error!(InvalidArgument, "The only encoding type is url")),
        };
        let max = match input.max_keys {
            None => MAX_PAGE,
            Some(n) => usize::try_from(n)
                .map_err(|_| s3_error!(InvalidArgument, "max-keys is negative"))?
                .min(MAX_PAGE),
        };
        let resume = input.continuation_token.as_deref().map(decode_token).transpose()?;
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or(""),
            delimiter: input.delimiter.as_deref(),
            start_after: input.start_after.as_deref().unwrap_or(""),
            resume: resume.as_deref(),
            max,
        };
        let (entries, more) = self.objects.list(&input.bucket, &query)?;
        // Without any entry on the page there is no place to go on from: S3 says "not truncated" as well.
        let next = entries.last().filter(|_| more).map(|e| hex::encode(e.name()));
        let shown = |name: &str| if url { percent_encode(name) } else { name.to_owned() };
        let key_count = i32::try_from(entries.len()).ok();
        let (mut contents, mut groups) = (Vec::new(), Vec::new());
        for entry in &entries {
            match entry {
                Entry::Group(prefix) => groups.push(CommonPrefix { prefix: Some(shown(prefix)) }),
                Entry::Object(key, object) => contents.push(listed(shown(key), object)),
            }
        }
        let prefix = input.prefix.as_deref().map(shown);
        let delimiter = input.delimiter.as_deref().map(shown);
        let start_after = input.start_after.as_deref().map(shown);
        Ok(S3Response::new(ListObjectsV2Output {
            prefix,
            delimiter,
            start_after,
            key_count,
            max_keys: i32::try_from(max).ok(),
            is_truncated: Some(next.is_some()),
            next_continuation_token: next,
            continuation_token: input.continuation_token,
            contents: (!contents.is_empty()).then_some(contents),
            common_prefixes: (!groups.is_empty()).then_some(groups),
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            ..Default::default()
        }))
    }
}

impl Api {
    fn require_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.objects.has_bucket(bucket) { Ok(()) } else { Err(Refused::NoSuchBucket.into()) }
    }
}

/// The condition that a write's headers ask for.
fn write_condition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::Always),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present),
        (Some(ETagCondition::ETag(tag)), None) => Ok(Condition::ETag(tag.into_value())),
        // As S3 itself: a write knows no other combination.
        _ => Err(s3_error!(NotImplemented, "Use If-None-Match: * or If-Match with one ETag")),
    }
}

/// Checks that a read's conditional headers let the object be given.
fn read_condition(
    header: &Header,
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<()> {
    let is = |condition: ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value() == header.e_tag,
    };
    if if_match.is_some_and(|c| !is(c)) {
        return Err(Refused::Precondition.into());
    }
    if if_none_match.is_some_and(is) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

/// The whole body, at most [`MAX_OBJECT`] bytes; exactly `declared` of them if that is given.
async fn collect(mut body: StreamingBlob, declared: Option<usize>) -> S3Result<Bytes> {
    let too_large = || s3_error!(EntityTooLarge, "An object may have {MAX_OBJECT} bytes");
    if declared.is_some_and(|n| n > MAX_OBJECT) {
        return Err(too_large());
    }
    // The declared length is only believed up to a point: memory is taken as data arrives.
    let mut bytes = BytesMut::with_capacity(declared.unwrap_or(0).min(CHUNK));
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|e| {
            let text = e.to_string();
            s3_error!(IncompleteBody, "The body ended early or its signature is wrong: {text}")
        })?;
        if bytes.len() + chunk.len() > MAX_OBJECT {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    if declared.is_some_and(|n| n != bytes.len()) {
        return Err(s3_error!(IncompleteBody, "The body is not as long as declared"));
    }
    Ok(bytes.freeze())
}

/// Streams `length` bytes of a file from `offset` on. A shorter file is an error, never a shorter body.
fn read_file(
    file: File,
    offset: u64,
    length: u64,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Sync {
    stream::try_unfold((file, offset, length), |(mut file, offset, left)| async move {
        let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        if size == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || -> std::io::Result<(File, Vec<u8>)> {
            let mut chunk = vec![0; size];
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut chunk)?;
            Ok((file, chunk))
        });
        let (file, chunk) = read.await.map_err(std::io::Error::other)??;
        let size = size as u64;
        Ok(Some((Bytes::from(chunk), (file, offset + size, left - size))))
    })
}

fn checksum(algorithm: Algorithm, body: &[u8]) -> String {
    match algorithm {
        Algorithm::Crc32 => BASE64.encode(Crc32::checksum(body)),
        Algorithm::Crc32c => BASE64.encode(Crc32c::checksum(body)),
        Algorithm::Crc64nvme => BASE64.encode(Crc64Nvme::checksum(body)),
        Algorithm::Sha1 => BASE64.encode(Sha1::checksum(body)),
        Algorithm::Sha256 => BASE64.encode(Sha256::checksum(body)),
    }
}

/// An object's checksums as the answers name them.
#[derive(Default)]
struct Checksums {
    crc32: Option<String>,
    crc32c: Option<String>,
    crc64nvme: Option<String>,
    sha1: Option<String>,
    sha256: Option<String>,
}

impl Checksums {
    fn of(header: &Header) -> Checksums {
        let get = |a| header.checksums.get(&a).cloned();
        Checksums {
            crc32: get(Algorithm::Crc32),
            crc32c: get(Algorithm::Crc32c),
            crc64nvme: get(Algorithm::Crc64nvme),
            sha1: get(Algorithm::Sha1),
            sha256: get(Algorithm::Sha256),
        }
    }
}

fn user_metadata(metadata: Option<Metadata>) -> S3Result<BTreeMap<String, String>> {
    let metadata: BTreeMap<String, String> = metadata.into_iter().flatten().collect();
    if metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_METADATA {
        return Err(s3_error!(MetadataTooLarge));
    }
    Ok(metadata)
}

fn given_metadata(header: &Header) -> Option<Metadata> {
    (!header.metadata.is_empty()).then(|| header.metadata.clone().into_iter().collect())
}

fn listed(key: String, object: &Stored) -> Object {
    Object {
        key: Some(key),
        size: i64::try_from(object.header.length).ok(),
        e_tag: Some(ETag::Strong(object.header.e_tag.clone())),
        last_modified: Some(modified(&object.header)),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Default::default()
    }
}

fn modified(header: &Header) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_millis(header.modified_ms))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn decode_token(token: &str) -> S3Result<String> {
    let bytes = hex::decode(token).ok();
    bytes
        .and_then(|b| String::from_utf8(b).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token is not one of this server's"))
}
