use std::sync::Arc;

use http::{HeaderName, Method, StatusCode, uri::PathAndQuery};

use super::BatchLayer;
use crate::format::{Decode, DecodeLines, Decoder, Encode};

/// What goes in and what comes out.
impl BatchLayer {
    /// Lets operations call gRPC methods of the service, as of a tonic server: those with `content-type: application/grpc`
    /// (or `application/grpc-web`, where the service speaks that).
    ///
    /// The body is the message alone, in JSON as base64, and so is that of the result. The status of the call becomes one of
    /// HTTP, as `google.rpc.Code` has it, so that a failure looks like one; [`Outcome::grpc`](crate::Outcome::grpc) has the
    /// call's own, and JSON and XML tell it (`"grpc":{"status":5,"message":"…"}`). `grpc-timeout` is honoured, within the
    /// time of [an operation](Self::operation_timeout).
    ///
    /// A method that answers with more than one message is a 501. The method of an operation has to be POST, and its target
    /// that of the gRPC method: `/package.Service/Method`. Metadata is headers: see [`allow_header`](Self::allow_header) and
    /// [`result_header`](Self::result_header).
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc(self) -> Self {
        self.allow_header(crate::grpc::TIMEOUT).with(|config| config.grpc = true)
    }

    /// One more header that an operation may set by itself, in place of what it would inherit from the batch.
    ///
    /// Think twice about any that says who the client is or where it comes from: with it, the sender of a batch can
    /// be somebody else in each operation. Framing headers (`content-length`, `transfer-encoding` …) stay ours.
    pub fn allow_header(self, name: HeaderName) -> Self {
        self.with(|config| config.operation_headers.push(name))
    }

    /// One more header of a response that is told in the answer, beside `content-type`, `content-encoding`,
    /// `content-range`, `location`, `etag`, `last-modified`, `retry-after`, `allow`, `link` and `www-authenticate`. `set-cookie` never is: cookies
    /// are set by the answer as a whole, where no script can read them (of the same cookie the last one, and 64 of
    /// 3 KiB together at most, for a larger head would be refused on the way). `content-length` would be the wrong one, and isn't
    /// told either.
    pub fn result_header(self, name: HeaderName) -> Self {
        self.with(|config| config.result_headers.push(name))
    }

    /// Narrows what operations may be aimed at. Another target is a 403.
    ///
    /// The path has no dot segments, backslashes, fragments or control characters, but may have percent-encoded
    /// letters: say what is allowed rather than what is not.
    pub fn allow_targets(self, policy: impl Fn(&Method, &PathAndQuery) -> bool + Send + Sync + 'static) -> Self {
        self.with(|config| config.target_policy = Some(Arc::new(policy)))
    }

    /// Copies an extension of the batch's request, if it is there, into that of each operation.
    ///
    /// ```
    /// use tower_multistatus::BatchLayer;
    ///
    /// /// Put there by a layer outside.
    /// #[derive(Clone)]
    /// struct Tenant(String);
    ///
    /// let layer = BatchLayer::new().forward_extension::<Tenant>();
    /// ```
    ///
    /// The extensions of operations are otherwise empty: most of what stands in the outer ones belongs to the outer
    /// request alone, such as its route's parameters or its upgrade.
    pub fn forward_extension<T: Clone + Send + Sync + 'static>(self) -> Self {
        self.with(|config| {
            config.forwards.push(|outer, inner| {
                if let Some(extension) = outer.get::<T>() {
                    inner.insert(extension.clone());
                }
            });
        })
    }

    /// One more way to read batches. It comes before ours: it gets what it accepts.
    pub fn decoder(self, decoder: impl Decode) -> Self {
        self.with(|config| config.decoders.push(Decoder::Whole(Arc::new(decoder))))
    }

    /// One more way to read batches while they arrive. It comes before ours: it gets what it accepts.
    pub fn line_decoder(self, decoder: impl DecodeLines) -> Self {
        self.with(|config| config.decoders.push(Decoder::Lines(Arc::new(decoder))))
    }

    /// One more way to write answers. It takes the place of ours where both write the same media type.
    pub fn encoder(self, encoder: impl Encode) -> Self {
        self.with(|config| config.encoders.push(Arc::new(encoder)))
    }

    /// The status of answers in this media type, in place of what the format has: 207 for most, and 200 for those of OData and
    /// of Google.
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_multistatus::BatchLayer;
    ///
    /// // As clients of OData 2.0 want it.
    /// let layer = BatchLayer::new().answer_status("multipart/mixed", StatusCode::ACCEPTED);
    /// ```
    ///
    /// # Panics
    ///
    /// If no answer with a body can have it: it must be a 2xx, and neither a 204 nor a 205.
    #[track_caller]
    pub fn answer_status(self, media_type: &'static str, status: StatusCode) -> Self {
        let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        assert!(status.is_success() && has_body, "the answer to a batch can't have the status {status}");
        self.with(|config| config.answer_statuses.push((media_type, status)))
    }

    /// One more format, for reading and for writing.
    pub fn format(self, format: impl Decode + Encode) -> Self {
        let format = Arc::new(format);
        self.with(|config| {
            config.decoders.push(Decoder::Whole(Arc::clone(&format) as _));
            config.encoders.push(format);
        })
    }
}
