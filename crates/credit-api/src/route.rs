//! Routes as data: one row says who may call, what goes in and what comes out. The front door enforces the row and the
//! OpenAPI document is made from it, so a route without a row cannot exist.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::{Path, Url};
use credit_core::ports::limits::CallClass;
use credit_core::{Code, Principal, Problem, Role, Scope};
use utoipa::openapi::{RefOr, schema::Schema};

use crate::form::FormValue;
use crate::reply::Reply;
use crate::request::Request;

/// HTTP methods that routes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One kind of caller that a row lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Any user with a token. The service checks that what it touches is its own.
    User,
    /// An application whose key has the scope.
    Scope(Scope),
    /// A user with role `support` (or `admin`).
    Support,
    /// A user with role `admin`.
    Admin,
    /// Any application, whatever its scopes.
    Application,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone; credentials are not even looked at.
    Public,
    /// Anyone; a known caller may see or do more. A wrong API key is `401`, a stale token is nobody's.
    Optional,
    /// A known caller that is one of these; others are `403`.
    Only(&'static [Who]),
}

impl Access {
    /// Whether this caller is let in.
    pub fn admits(self, principal: &Principal) -> bool {
        let Self::Only(list) = self else { return true };
        list.iter().any(|who| who.is(principal))
    }
}

impl Who {
    /// Whether the caller is of this kind.
    pub fn is(self, principal: &Principal) -> bool {
        match self {
            Self::User => matches!(principal, Principal::User { .. }),
            Self::Application => matches!(principal, Principal::Application { .. }),
            Self::Scope(scope) => principal.has_scope(scope),
            Self::Support => principal.is_operator(),
            Self::Admin => principal.has_role(Role::Admin),
        }
    }
}

/// What a route takes as its body.
#[derive(Clone, Copy)]
pub enum Body {
    /// None. One that is sent is ignored, as long as it is within the usual limit; with `POST`, `PUT` and `PATCH` it
    /// may be an object without members and nothing else.
    None,
    /// One JSON object of at most `limit` bytes.
    Json { limit: usize, schema: fn() -> Schema },
    /// The same, but nothing at all counts as `{}`.
    OptionalJson { limit: usize, schema: fn() -> Schema },
}

/// The usual limit of a body: 256 KiB.
pub const BODY_LIMIT: usize = 256 * 1024;

/// A query parameter that a route knows.
#[derive(Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// What OpenAPI says of it.
    pub schema: fn() -> Schema,
}

/// One documented answer.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What it means.
    pub description: &'static str,
    /// The body and the schemas that it refers to; `None` without a body.
    pub schema: Option<AnswerSchema>,
    /// Has an `ETag` beside what its schema tells.
    pub tagged: bool,
}

/// The schema of an answer with those it refers to.
#[derive(Clone)]
pub struct AnswerSchema {
    /// Content type.
    pub content_type: &'static str,
    /// The reference or inline schema.
    pub body: RefOr<Schema>,
    /// Named schemas that it needs among the components.
    pub components: Vec<(String, RefOr<Schema>)>,
}

/// What a handler returns.
pub type Answering = Pin<Box<dyn Future<Output = Result<Reply, Problem>>>>;
/// A handler: from a request that passed the door to a reply.
pub type Handler = Arc<dyn Fn(Request) -> Answering + Send + Sync>;

/// What is known of a request before anything of it is read: who asks, and of what.
pub struct Knock<'a> {
    pub(crate) principal: Option<&'a Principal>,
    pub(crate) path_parameters: &'a Path<Url>,
}

impl Knock<'_> {
    /// The caller, if it is known.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal
    }

    /// A path parameter as it stands in the path.
    pub fn path_text(&self, name: &str) -> Option<&str> {
        self.path_parameters.get(name)
    }
}

/// Who is let in beyond what the row can say, decided before the form is read.
pub type Bouncer = Arc<dyn Fn(&Knock<'_>) -> Result<(), Problem> + Send + Sync>;

/// One row of the table.
#[derive(Clone)]
pub struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) access: Access,
    pub(crate) body: Body,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) idempotent: bool,
    pub(crate) paged: bool,
    pub(crate) answers: Vec<Answer>,
    pub(crate) problems: Vec<Code>,
    pub(crate) always: bool,
    /// `None`: as its method says.
    pub(crate) class: Option<CallClass>,
    pub(crate) bouncer: Option<Bouncer>,
    pub(crate) handler: Handler,
}

impl Route {
    /// A row. `path` has its parameters in braces: `/v1/wallets/{id}`.
    pub fn new<F, Fut>(
        method: Method,
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: F,
    ) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply, Problem>> + 'static,
    {
        Self {
            method,
            path,
            summary,
            access,
            body: Body::None,
            parameters: Vec::new(),
            idempotent: false,
            paged: false,
            answers: Vec::new(),
            problems: Vec::new(),
            always: false,
            class: None,
            bouncer: None,
            handler: Arc::new(move |request| Box::pin(handler(request))),
        }
    }

    /// Takes this form as JSON, at most 256 KiB.
    #[must_use]
    pub fn form<T: FormValue>(mut self) -> Self {
        self.body = Body::Json { limit: BODY_LIMIT, schema: T::schema };
        self
    }

    /// Takes this form as JSON; nothing at all counts as `{}`.
    #[must_use]
    pub fn optional_form<T: FormValue>(mut self) -> Self {
        self.body = Body::OptionalJson { limit: BODY_LIMIT, schema: T::schema };
        self
    }

    /// Takes JSON of this schema with a limit of its own.
    #[must_use]
    pub fn json(mut self, limit: usize, schema: fn() -> Schema) -> Self {
        self.body = Body::Json { limit, schema };
        self
    }

    /// Knows a query parameter.
    #[must_use]
    pub fn parameter(
        mut self,
        name: &'static str,
        description: &'static str,
        schema: fn() -> Schema,
    ) -> Self {
        self.parameters.push(Parameter { name, description, schema });
        self
    }

    /// Requires an `Idempotency-Key`; knows `dry_run` and `If-Match`.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// A list: knows `limit` and `cursor`.
    #[must_use]
    pub fn paged(mut self) -> Self {
        self.paged = true;
        self
    }

    /// The answer that was named last tells a version in its `ETag` although its body is more than what has that version.
    #[must_use]
    pub fn tagged(mut self) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.tagged = true;
        }
        self
    }

    /// Answers this body with this status.
    #[must_use]
    pub fn answers<T: utoipa::ToSchema>(self, status: u16, description: &'static str) -> Self {
        let mut components = Vec::new();
        T::schemas(&mut components);
        components.push((T::name().into_owned(), T::schema()));
        let body = RefOr::Ref(utoipa::openapi::Ref::from_schema_name(T::name()));
        self.answers_schema(
            status,
            description,
            AnswerSchema { content_type: "application/json", body, components },
        )
    }

    /// Answers a page of these rows with `200`.
    #[must_use]
    pub fn answers_page<T: utoipa::ToSchema>(self, description: &'static str) -> Self {
        let mut components = Vec::new();
        T::schemas(&mut components);
        components.push((T::name().into_owned(), T::schema()));
        let row = RefOr::Ref(utoipa::openapi::Ref::from_schema_name(T::name()));
        let body = RefOr::T(crate::page::page_schema(row));
        self.answers_schema(
            200,
            description,
            AnswerSchema { content_type: "application/json", body, components },
        )
        .paged()
    }

    /// Answers what the schema says.
    #[must_use]
    pub fn answers_schema(mut self, status: u16, description: &'static str, schema: AnswerSchema) -> Self {
        self.answers.push(Answer { status, description, schema: Some(schema), tagged: false });
        self
    }

    /// Answers a status without a body.
    #[must_use]
    pub fn answers_empty(mut self, status: u16, description: &'static str) -> Self {
        self.answers.push(Answer { status, description, schema: None, tagged: false });
        self
    }

    /// May refuse with these codes, beside those that every route of its kind can answer.
    #[must_use]
    pub fn refuses(mut self, codes: &[Code]) -> Self {
        self.problems.extend_from_slice(codes);
        self
    }

    /// Turns some callers away whom the row admits, as `403` and before the form is read: for what depends on the
    /// configuration, or on whether the caller asks for itself.
    #[must_use]
    pub fn turns_away(
        mut self,
        bouncer: impl Fn(&Knock<'_>) -> Result<(), Problem> + Send + Sync + 'static,
    ) -> Self {
        self.bouncer = Some(Arc::new(bouncer));
        self
    }

    /// Answers also while its module is not initialised, and takes a caller whom nobody can check now for nobody: for
    /// what tells how the house is.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.always = true;
        self
    }

    /// Lets somebody in or checks a password: limited as such calls are.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.class = Some(CallClass::Auth);
        self
    }

    /// As what calls are limited; `None`: they are not, for what tells how the house is.
    pub fn class(&self) -> Option<CallClass> {
        let by_method = if self.method == Method::Get { CallClass::Read } else { CallClass::Write };
        (!self.always).then(|| self.class.unwrap_or(by_method))
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The path template.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Who may call.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether the row knows this query parameter.
    pub(crate) fn knows_parameter(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter.name == name)
            || (self.paged && matches!(name, "limit" | "cursor"))
            || (self.idempotent && name == "dry_run")
    }
}
