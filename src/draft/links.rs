//! How an operation hangs together with others.

use http::header;

use super::{Draft, not_allowed};
use crate::{
    graph::{Dependency, Membership, On, Relations, Wants},
    inherit::Class,
    needs::{Aim, Needs, Value},
    problem::{Problem, shown, step},
    reference::{Reference, Source, is_location, unknown},
    template,
};

/// What an operation has to do with others; most have nothing.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) relations: Relations,
    pub(crate) needs: Needs,
}

/// How it hangs together with other operations of the batch.
impl Draft<'_> {
    /// It runs only after the operation of this id has ended with a 2xx; if that doesn't happen, it is a 424. `pointer`
    /// is where that is said, as a JSON Pointer into the operation.
    ///
    /// Whether there is such an operation, and whether it can be waited for, is known only when the batch is whole
    /// ([`BatchBuilder::finish`](crate::BatchBuilder::finish)). If not, this one is refused then.
    pub fn depends_on(&mut self, id: &str, pointer: impl Into<String>) {
        self.depend(On::Operation(id.into()), None, pointer.into());
    }

    /// The same for a group: it runs only after the group of this name has been carried out.
    pub fn depends_on_group(&mut self, name: &str, pointer: impl Into<String>) {
        self.depend(On::Group(name.into()), None, pointer.into());
    }

    /// It runs only if the operation of this id succeeds, or only if it doesn't. That takes the place of the rule for all
    /// that it [depends on](Self::depends_on): these need only have ended, in whatever way. `pointer` is where that is said.
    pub fn run_if(&mut self, id: &str, succeeds: bool, pointer: impl Into<String>) {
        self.condition(On::Operation(id.into()), succeeds, pointer.into());
    }

    /// The same for a group.
    pub fn run_if_group(&mut self, name: &str, succeeds: bool, pointer: impl Into<String>) {
        self.condition(On::Group(name.into()), succeeds, pointer.into());
    }

    fn condition(&mut self, on: On, succeeds: bool, pointer: String) {
        self.links().relations.is_conditional = true;
        self.depend(on, Some(if succeeds { Wants::Success } else { Wants::Failure }), pointer);
    }

    fn depend(&mut self, on: On, wants: Option<Wants>, pointer: String) {
        let limit = self.cx.most_dependencies();
        let Links { relations, needs } = self.links();
        // Each reference has added one to those that are named by themselves.
        if relations.dependencies.len() - needs.references.len() >= limit {
            let detail = format!("an operation may depend on {limit} others at most");
            return self.refuse(Problem::bad_request(detail).at("/dependsOn"));
        }
        self.wait_for(on, wants, pointer);
    }

    fn wait_for(&mut self, on: On, wants: Option<Wants>, pointer: String) {
        self.links().relations.dependencies.push(Dependency { on, wants, pointer });
    }

    /// It belongs to the atomic group of this name: its operations count all or none. They have to stand side by side in
    /// the batch, and are a 501 each where the server has no
    /// [coordinator](crate::BatchLayer::with_coordinator), unless it is one alone. `pointer` is where that is said, as a JSON
    /// Pointer into the operation.
    pub fn group(&mut self, name: &str, pointer: &'static str) {
        let limit = self.cx.config().limits.id_bytes;
        if name.len() > limit {
            let detail = format!("the name of a group may have {limit} bytes at most");
            self.unknown_group();
            return self.refuse(Problem::bad_request(detail).at(pointer));
        }
        self.own_group(name, pointer);
    }

    /// The same by a name of the format's own making, which may be of any length.
    pub(crate) fn own_group(&mut self, name: &str, pointer: &'static str) {
        self.links().relations.group = Some(Membership { name: name.into(), pointer });
    }

    /// It may belong to a group, and what the client says of that can't be read: so none of the batch's groups is carried
    /// out, for it could be without one of its members.
    pub fn unknown_group(&mut self) {
        self.links().relations.is_group_unknown = true;
    }

    /// A name for a value in the JSON body of another operation's outcome; `pointer` is a JSON Pointer (RFC 6901), the
    /// empty one for the whole body. This operation runs only after that one has ended with a 2xx.
    ///
    /// To be called before what uses the name: [`target_template`](Self::target_template),
    /// [`header_from`](Self::header_from) and [`json_body`](Self::json_body).
    pub fn body_reference(&mut self, name: &str, id: &str, pointer: &str) {
        let source = Source::body(pointer, self.cx.json_depth());
        self.reference(name, id, source, step("/refs", name));
    }

    /// The same for a header of the outcome: one of those that the answer tells, or `location` or `content-location`, of
    /// which the value is only the path and the query.
    pub fn header_reference(&mut self, name: &str, id: &str, header: &str) {
        self.header_reference_at(name, id, header, step("/refs", name));
    }

    /// `pointer` is where it is given.
    pub(crate) fn header_reference_at(&mut self, name: &str, id: &str, header: &str, pointer: String) {
        let source = Source::header(header).and_then(|(source, header)| {
            // Clients get to know a header by a reference just as they do by a result.
            if is_location(&header) || self.cx.tells(&header) {
                return Ok(source);
            }
            Err(format!(
                "`{}` can't be referred to, for the answer doesn't tell it (`BatchLayer::result_header`)",
                shown(header.as_str())
            ))
        });
        self.reference(name, id, source, pointer);
    }

    /// The same for the place of what another operation has created or returned: the path and the query of its `location`,
    /// or its own target if it is a GET without one. `pointer` is where that is said.
    pub fn entity_reference(&mut self, name: &str, id: &str, pointer: impl Into<String>) {
        self.reference(name, id, Ok(Source::Entity), pointer.into());
    }

    /// `pointer` is where it is given.
    fn reference(&mut self, name: &str, id: &str, source: Result<Source, String>, pointer: String) {
        let limit = self.cx.config().limits.operations;
        let source = match source {
            Ok(source) => source,
            Err(why) => return self.refuse(Problem::bad_request(why).at(pointer)),
        };
        if self.links().needs.references.len() >= limit {
            let detail = format!("an operation may have {limit} references at most, as many as a batch has operations");
            return self.refuse(Problem::bad_request(detail).at(pointer));
        }
        // Without a success there is no value, whatever the condition says.
        self.wait_for(On::Operation(id.into()), Some(Wants::Success), pointer.clone());
        let place = pointer.as_str().into();
        let reference = Reference { name: name.into(), id: id.into(), source, pointer: place, value: None };
        if !self.links().needs.add(reference) {
            let detail = format!("there are two references `{}`", shown(name));
            self.refuse(Problem::bad_request(detail).at(pointer));
        }
    }

    /// Whether any reference was given: without, nothing is to be taken for one.
    #[must_use]
    pub fn has_references(&self) -> bool {
        self.links.as_ref().is_some_and(|links| !links.needs.references.is_empty())
    }

    /// Whether a reference of this name was given.
    #[must_use]
    pub fn has_reference(&self, name: &str) -> bool {
        self.links.as_ref().is_some_and(|links| links.needs.find(name).is_some())
    }

    /// The target as an RFC 6570 URI template: `/orders/{order}/lines`. Its names are those of
    /// [references](Self::body_reference), which must have been given already. Values are percent-encoded, but for a location
    /// in `{+name}`. What comes of it is checked as [`target`](Self::target) checks what it is given. `pointer` is where
    /// it stands in the operation.
    pub fn target_template(&mut self, template: &str, pointer: &'static str) {
        self.target_pointer = pointer;
        let limit = self.cx.config().limits.target_bytes;
        let parsed = if template.len() > limit {
            Err("the target is too long".to_owned())
        } else {
            self.links().needs.template(template)
        };
        match parsed {
            Ok(plain) if plain.has_no_names() => self.target(template.to_owned().into(), pointer),
            Ok(template) => {
                // What is wrong with it whatever the values are is better told now.
                self.target(template.sample().into(), pointer);
                self.label.target = None;
                self.links().needs.target = Some(Aim::Template(template));
            }
            Err(why) => {
                // What is no template is most often wrong in a way that has a better name.
                if !template::is_template(template) {
                    self.target(template.replace(['{', '}'], "x").into(), pointer);
                    self.label.target = None;
                }
                self.refuse(Problem::bad_request(why).at(pointer));
            }
        }
    }

    /// The target as the place that a [reference](Self::entity_reference) to a location stands for, which must have been
    /// given already, with more behind it: a slash and what stands below that place, or another query. What comes of it is
    /// checked as [`target`](Self::target) checks what it is given. `pointer` is where it stands in the operation.
    pub fn target_below(&mut self, reference: &str, rest: &str, pointer: &'static str) {
        let needs = &self.links().needs;
        let Some(index) = needs.find(reference).filter(|&index| needs.references[index].source.is_location()) else {
            return self.refuse(Problem::bad_request(unknown(reference)).at(pointer));
        };
        // What is wrong with the rest whatever the location is, is better told now.
        self.target(format!("/x{rest}").into(), pointer);
        self.label.target = None;
        self.links().needs.target = Some(Aim::Below { index, rest: rest.into() });
    }

    /// A header that has the value of a [reference](Self::body_reference), which must have been given already. Which headers
    /// may be set is the same as for [`header`](Self::header), but for `content-type`, which can't be taken from another
    /// operation.
    pub fn header_from(&mut self, name: &str, reference: &str) {
        if self.problem.is_some() {
            return;
        }
        if let Err(why) = self.try_header_from(name, reference) {
            self.refuse(Problem::bad_request(why).at(step("/headers", name)));
        }
    }

    fn try_header_from(&mut self, name: &str, reference: &str) -> Result<(), String> {
        // One name may stand there for as many values as a batch has room for.
        self.count_header(name.len())?;
        match self.class(name)? {
            (_, Class::Dropped) => Ok(()),
            (header, Class::Allowed) if header != header::CONTENT_TYPE => {
                let needs = &mut self.links().needs;
                let index = needs.find(reference).ok_or_else(|| unknown(reference))?;
                needs.headers.push((name.into(), Value::Reference(index)));
                Ok(())
            }
            (header, Class::Allowed | Class::Host) => Err(format!("`{header}` can't be taken from another operation")),
            (header, Class::Refused) => Err(not_allowed(&header)),
        }
    }

    pub(crate) fn take_links(&mut self) -> Option<Box<Links>> {
        let mut links = self.links.take()?;
        links.needs.size = self.size;
        links.needs.target_pointer = self.target_pointer;
        Some(links)
    }

    fn links(&mut self) -> &mut Links {
        self.links.get_or_insert_default()
    }
}
