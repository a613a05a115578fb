use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::code::Code;

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it is. It also tells the severity, whom it harms, and the section of the standard.
    pub code: Code,
    /// Which result has it, counted from 0; a second number is the place in a multistatus within that result, and so
    /// on. Empty where it is said of the answer as a whole.
    pub at: Vec<usize>,
    /// What is there, in a sentence. Text of the answer in it is cut, and has no control characters.
    pub detail: String,
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Finding", 7)?;
        object.serialize_field("code", &self.code)?;
        object.serialize_field("severity", &self.code.severity())?;
        object.serialize_field("at", &self.at)?;
        object.serialize_field("detail", &self.detail)?;
        object.serialize_field("harms", &self.code.harms())?;
        object.serialize_field("why", self.code.why())?;
        object.serialize_field("section", self.code.section())?;
        object.end()
    }
}
