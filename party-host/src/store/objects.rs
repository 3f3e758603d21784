//! The few operations the store needs of an object service.

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;

/// Largest object read or written, in bytes.
pub const MAX_OBJECT: usize = 256 * 1024 * 1024;

/// The outcome of creating an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was created, durably.
    New,
    /// There was one already, and it was left as it is. After a lost answer and a retry it may be one's own.
    Exists,
}

/// An object service with atomic creation and reads that see every completed write.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Checks that the place for objects exists; makes it if this service is configured to.
    async fn ensure(&self) -> Result<(), StoreError>;

    /// Creates an object; never overwrites one.
    async fn create(&self, key: &str, body: Bytes) -> Result<Created, StoreError>;

    /// Reads an object of at most [`MAX_OBJECT`] bytes.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// All keys under a prefix, in order.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// Deletes an object; one that is not there counts as deleted.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
}
