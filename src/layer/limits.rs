use super::BatchLayer;

/// How much of each.
impl BatchLayer {
    /// The number of operations in a batch; 100 by default. More are a 413.
    pub fn max_operations(self, operations: usize) -> Self {
        self.with(|config| config.limits.operations = operations)
    }

    /// The bytes of a batch; 2 MiB by default. More are a 413.
    ///
    /// The values that the references of a batch keep may have as many bytes, and so may what they bring in. An operation
    /// that would go over that is a 424.
    pub fn max_request_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.limits.request_bytes = bytes)
    }

    /// The bytes of all outcomes' bodies together, as the service sends them; 16 MiB by default. An outcome that would
    /// go over it is a 507, though its operation was carried out; the others go on while they fit. In an answer that is
    /// [streamed](Self::stream), only bodies count that are not written yet.
    ///
    /// On the wire it may be more: base64 makes a third more of it, the escaping of control characters in JSON up to six
    /// times as much, and that of `&`, `<` and `>` in XML up to five times. Ids, targets and headers of results are not
    /// counted; those that clients send have limits of their own.
    pub fn max_response_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.limits.response_bytes = bytes)
    }

    /// The bytes of an id, and of the name of a group; 256 by default.
    pub fn max_id_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.limits.id_bytes = bytes)
    }

    /// The bytes of a target; 8 KiB by default.
    pub fn max_target_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.limits.target_bytes = bytes)
    }

    /// The number of headers that an operation sets; 64 by default.
    pub fn max_headers(self, headers: usize) -> Self {
        self.with(|config| config.limits.headers = headers)
    }

    /// The bytes of all names and values that an operation sets; 16 KiB by default.
    pub fn max_header_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.limits.header_bytes = bytes)
    }

    /// How deep a JSON body of an operation may be nested; 64 by default.
    pub fn max_json_depth(self, depth: usize) -> Self {
        self.with(|config| config.limits.json_depth = depth)
    }
}
