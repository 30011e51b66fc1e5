//! Applications: which there are, and new ones.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{CommitError, Direction, Documents, Key, Position, Query};
use credit_core::{AppId, Clock, IdSource, Problem, Timestamp};
use parking_lot::{Mutex, RwLock};

use crate::domain::App;
use crate::page::{PageRequest, cut_page};
use crate::store::apps::{self, APPS, DEFAULT};

/// How long a list of all applications may be old: one made by another process shows by then.
const ALL_TTL: Duration = Duration::from_secs(5);
const CHUNK: usize = 500;

/// The applications of the house. Share it: it remembers what it saw.
pub struct Apps {
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    default: RwLock<Option<AppId>>,
    /// Applications are never removed, so what was seen once is there.
    seen: RwLock<HashSet<AppId>>,
    all: Mutex<Option<(Timestamp, Arc<[AppId]>)>>,
}

impl Apps {
    /// The applications in this store.
    pub fn new(documents: Arc<dyn Documents>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self {
            documents,
            clock,
            ids,
            default: RwLock::default(),
            seen: RwLock::default(),
            all: Mutex::default(),
        }
    }

    /// The application that is meant where none is named. It is called `default` and made on first use; of several
    /// processes that make it at once, one does.
    pub async fn default_app(&self) -> Result<AppId, Problem> {
        let known = *self.default.read();
        if let Some(app) = known {
            return Ok(app);
        }
        let app = match self.find_default().await? {
            Some(app) => app,
            None => self.make_default().await?,
        };
        *self.default.write() = Some(app);
        Ok(app)
    }

    /// Whether there is this application.
    pub async fn exists(&self, app: AppId) -> Result<bool, Problem> {
        if self.seen.read().contains(&app) {
            return Ok(true);
        }
        let there = self.documents.get(AppId::SYSTEM, &APPS, &app.to_string()).await?.is_some();
        if there {
            self.seen.write().insert(app);
        }
        Ok(there)
    }

    /// Every application, for sweeps; one that another process has just made may be missing for a few seconds.
    pub async fn all(&self) -> Result<Arc<[AppId]>, Problem> {
        let now = self.clock.now();
        let ttl = i64::try_from(ALL_TTL.as_millis()).unwrap_or(i64::MAX);
        if let Some((at, all)) = &*self.all.lock()
            && (0..ttl).contains(&now.millis_since(*at))
        {
            return Ok(all.clone());
        }
        let all: Arc<[AppId]> = self.read_all().await?.into();
        self.seen.write().extend(all.iter());
        *self.all.lock() = Some((now, all.clone()));
        Ok(all)
    }

    /// Makes an application.
    pub async fn create(&self, name: String) -> Result<App, Problem> {
        let app = self.new_app(name);
        self.documents.commit(AppId::SYSTEM, apps::insert(&app, false)).await?;
        self.seen.write().insert(app.id);
        *self.all.lock() = None;
        Ok(app)
    }

    /// A page, newest first.
    pub async fn list(&self, page: &PageRequest) -> Result<(Vec<App>, Option<Position>), Problem> {
        let query = Query {
            after: page.after.clone(),
            ..Query::new(&APPS, None, Key::empty(), page.limit + 1).descending()
        };
        let rows = self.documents.query(AppId::SYSTEM, query).await?;
        let rows = rows
            .into_iter()
            .map(|row| Ok((row.position, apps::decode(&row.document)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(cut_page(rows, page.limit))
    }

    fn new_app(&self, name: String) -> App {
        App { id: AppId::from_u128(self.ids.mint()), name, created_at: self.clock.now() }
    }

    async fn find_default(&self) -> Result<Option<AppId>, StoreError> {
        let query = Query::new(&APPS, Some(DEFAULT), apps::default_key(), 1);
        let rows = self.documents.query(AppId::SYSTEM, query).await?;
        rows.first().map(|row| apps::decode(&row.document).map(|app| app.id)).transpose()
    }

    async fn make_default(&self) -> Result<AppId, Problem> {
        let app = self.new_app(DEFAULT.to_owned());
        match self.documents.commit(AppId::SYSTEM, apps::insert(&app, true)).await {
            Ok(()) => Ok(app.id),
            Err(CommitError::Taken { .. }) => self.find_default().await?.ok_or_else(|| {
                StoreError::Corrupt("the key of the default application leads nowhere".into()).into()
            }),
            Err(other) => Err(other.into()),
        }
    }

    async fn read_all(&self) -> Result<Vec<AppId>, StoreError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let query = Query {
                direction: Direction::Ascending,
                after,
                ..Query::new(&APPS, None, Key::empty(), CHUNK)
            };
            let rows = self.documents.query(AppId::SYSTEM, query).await?;
            for row in &rows {
                all.push(apps::decode(&row.document)?.id);
            }
            match rows.last() {
                Some(row) if rows.len() == CHUNK => after = Some(row.position.clone()),
                _ => return Ok(all),
            }
        }
    }
}
