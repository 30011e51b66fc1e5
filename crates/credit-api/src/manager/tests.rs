use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use credit_core::testkit::TestRun;
use credit_core::{Health, InitialiseError, JobError, JobReport, JobRun, Module};

use super::*;
use crate::reply::Reply;
use crate::route::{Access, Method, Route};
use crate::testkit::TestHouse;

type Diary = Arc<Mutex<Vec<String>>>;

struct Part {
    name: &'static str,
    needs: &'static [&'static str],
    path: &'static str,
    broken: Arc<AtomicBool>,
    diary: Diary,
}

#[async_trait]
impl Module for Part {
    fn name(&self) -> &'static str {
        self.name
    }
    fn dependencies(&self) -> &'static [&'static str] {
        self.needs
    }
    async fn initialise(&self) -> Result<(), InitialiseError> {
        self.diary.lock().unwrap().push(format!("{} starts", self.name));
        if self.broken.load(Ordering::Relaxed) {
            return Err(InitialiseError("its store is away".into()));
        }
        Ok(())
    }
    async fn health(&self) -> Health {
        if self.broken.load(Ordering::Relaxed) { Health::degraded("limping") } else { Health::healthy() }
    }
    fn jobs(&self) -> Vec<Arc<dyn Job>> {
        if self.name == "walls" { vec![Arc::new(Paint)] } else { Vec::new() }
    }
    async fn shut_down(&self) {
        self.diary.lock().unwrap().push(format!("{} stops", self.name));
    }
}

impl WebModule for Part {
    fn routes(&self) -> Vec<Arc<Route>> {
        let handler = |_| async { Ok(Reply::ok(&"here")) };
        vec![Arc::new(Route::new(Method::Get, self.path, Access::Public, "Say where", handler))]
    }
}

/// What the walls do unasked.
struct Paint;

#[async_trait]
impl Job for Paint {
    fn name(&self) -> &'static str {
        "paint"
    }
    fn about(&self) -> &'static str {
        "Paints."
    }
    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn run(&self, run: &dyn JobRun) -> Result<JobReport, JobError> {
        run.check()?;
        Ok(JobReport::done("painted"))
    }
}

struct Parts {
    diary: Diary,
    broken: Arc<AtomicBool>,
}

impl Parts {
    fn new() -> Self {
        Self { diary: Diary::default(), broken: Arc::default() }
    }

    fn part(
        &self,
        name: &'static str,
        needs: &'static [&'static str],
        path: &'static str,
    ) -> Arc<dyn WebModule> {
        Arc::new(Part { name, needs, path, broken: Arc::default(), diary: self.diary.clone() })
    }

    fn breakable(
        &self,
        name: &'static str,
        needs: &'static [&'static str],
        path: &'static str,
    ) -> Arc<dyn WebModule> {
        Arc::new(Part { name, needs, path, broken: self.broken.clone(), diary: self.diary.clone() })
    }

    fn pages(&self) -> Vec<String> {
        self.diary.lock().unwrap().clone()
    }
}

fn names_in_order(
    modules: Vec<Arc<dyn WebModule>>,
    enabled: Option<&[&str]>,
) -> Result<Vec<&'static str>, String> {
    let enabled: Option<Vec<String>> =
        enabled.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    ModuleManager::try_new(modules, enabled.as_deref(), House::new())
        .map(|manager| manager.names())
        .map_err(|error| error.to_string())
}

#[test]
fn modules_start_behind_those_they_need() {
    let parts = Parts::new();
    let modules = vec![
        parts.part("roof", &["walls"], "/roof"),
        parts.part("walls", &["ground"], "/walls"),
        parts.part("ground", &[], "/ground"),
    ];
    assert_eq!(names_in_order(modules, None), Ok(vec!["ground", "walls", "roof"]));
}

#[test]
fn what_cannot_be_arranged_is_refused_by_name_in_a_sentence() {
    let parts = Parts::new();
    let ground = || parts.part("ground", &[], "/ground");
    let walls = || parts.part("walls", &["ground"], "/walls");
    let cases = [
        (vec![walls()], None, "walls needs ground, which does not exist"),
        (
            vec![ground(), walls()],
            Some(&["walls"][..]),
            "walls needs ground, which modules.enabled leaves out; enable ground or leave out walls too",
        ),
        (
            vec![ground(), walls()],
            Some(&["cellar"][..]),
            "modules.enabled names cellar, which does not exist; there are ground, walls",
        ),
        (vec![ground(), ground()], None, "two modules are called ground; each needs a name of its own"),
        (
            vec![
                ground(),
                parts.part("hen", &["egg"], "/hen"),
                parts.part("egg", &["hen", "ground"], "/egg"),
            ],
            None,
            "modules need each other in a circle: hen → egg → hen",
        ),
        (
            vec![ground(), parts.part("cellar", &[], "/ground")],
            None,
            "GET /ground stands twice, in ground and in cellar",
        ),
    ];
    for (modules, enabled, sentence) in cases {
        assert_eq!(names_in_order(modules, enabled), Err(sentence.to_owned()));
    }
    assert_eq!(names_in_order(vec![ground(), walls()], Some(&["ground"])), Ok(vec!["ground"]));
}

#[actix_web::test]
async fn a_module_that_fails_closes_itself_and_those_that_need_it_and_opens_when_it_recovers() {
    let parts = Parts::new();
    parts.broken.store(true, Ordering::Relaxed);
    let modules = vec![
        parts.part("ground", &[], "/ground"),
        parts.breakable("walls", &["ground"], "/walls"),
        parts.part("roof", &["walls"], "/roof"),
    ];
    let house = TestHouse::with(modules).open_as_it_is().await;
    let status = async |path| house.call("GET", path, &[], None).await.status;

    assert_eq!(status("/ground").await, 200);
    let refused = house.call("GET", "/walls", &[], None).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "module_unavailable"));
    assert_eq!(status("/roof").await, 503);
    assert_eq!(status("/elsewhere").await, 404);

    parts.broken.store(false, Ordering::Relaxed);
    let soon = Instant::now() + Duration::from_millis(1);
    house.manager().look_after(soon).await;
    assert_eq!(status("/walls").await, 503, "not before its pause is over");
    house.manager().look_after(soon + FIRST_RETRY).await;
    assert_eq!((status("/walls").await, status("/roof").await), (200, 200));
    let tried = parts.pages().iter().filter(|line| *line == "walls starts").count();
    assert_eq!(tried, 2);
}

#[actix_web::test]
async fn a_module_that_fails_again_and_again_is_tried_with_growing_pauses_until_it_works() {
    let parts = Parts::new();
    parts.broken.store(true, Ordering::Relaxed);
    let house = TestHouse::with(vec![parts.breakable("walls", &[], "/walls")]).open_as_it_is().await;
    let tried = || parts.pages().iter().filter(|line| *line == "walls starts").count();
    let begun = Instant::now();
    let mut at = Vec::new();
    for tenth in 1..=300_u64 {
        let before = tried();
        let now = begun + Duration::from_millis(tenth * 100);
        if tenth == 200 {
            parts.broken.store(false, Ordering::Relaxed);
        }
        house.manager().look_after(now).await;
        if tried() > before {
            at.push(now - begun);
        }
        let state = house.manager().house.modules()[0].state;
        assert_eq!(state == ModuleState::Ready, tenth >= 200 && tried() > 6, "{tenth}: {state:?}");
    }
    let pauses: Vec<u64> = std::iter::once(at[0])
        .chain(at.windows(2).map(|pair| pair[1].saturating_sub(pair[0])))
        .map(|pause| pause.as_secs())
        .collect();
    // From one second on, twice as long each time, and never so long that a store that is back is not noticed soon.
    assert_eq!(pauses, [1, 2, 4, 5, 5, 5], "{at:?}");
    assert_eq!(house.call("GET", "/walls", &[], None).await.status, 200);
    let module = &house.manager().house.modules()[0];
    assert_eq!((module.state, module.reason.clone()), (ModuleState::Ready, None));
}

#[actix_web::test]
async fn a_job_waits_for_its_module() {
    let parts = Parts::new();
    parts.broken.store(true, Ordering::Relaxed);
    let house = TestHouse::with(vec![parts.breakable("walls", &[], "/walls")]).open_as_it_is().await;
    let jobs = house.manager().jobs();
    let names: Vec<_> = jobs.iter().map(|job| job.name()).collect();
    assert_eq!(names, ["paint"]);
    assert!(!jobs[0].is_ready(), "its module is not there");
    parts.broken.store(false, Ordering::Relaxed);
    house.manager().look_after(Instant::now() + FIRST_RETRY).await;
    assert!(jobs[0].is_ready());
    let report = jobs[0].run(&TestRun::new()).await;
    assert_eq!(report, Ok(JobReport::done("painted")));
    house.manager().shut_down().await;
    assert!(!jobs[0].is_ready(), "its module has stopped");
}

const FIRST_RETRY: Duration = Duration::from_secs(2);

#[actix_web::test]
async fn a_module_that_limps_is_degraded_and_still_answers() {
    let parts = Parts::new();
    let house = TestHouse::with(vec![parts.breakable("walls", &[], "/walls")]).open().await;
    let state = || house.manager().house.modules()[0].state;
    assert_eq!(state(), ModuleState::Ready);
    parts.broken.store(true, Ordering::Relaxed);
    house.manager().look_after(Instant::now()).await;
    assert_eq!(state(), ModuleState::Degraded);
    assert_eq!(house.call("GET", "/walls", &[], None).await.status, 200);
    parts.broken.store(false, Ordering::Relaxed);
    house.manager().look_after(Instant::now()).await;
    assert_eq!(state(), ModuleState::Ready);
}

#[actix_web::test]
async fn modules_stop_in_the_reverse_order_and_answer_no_more() {
    let parts = Parts::new();
    let modules = vec![parts.part("ground", &[], "/ground"), parts.part("walls", &["ground"], "/walls")];
    let house = TestHouse::with(modules).open().await;
    house.manager().shut_down().await;
    assert_eq!(parts.pages(), ["ground starts", "walls starts", "walls stops", "ground stops"]);
    assert_eq!(house.call("GET", "/ground", &[], None).await.status, 503);
    assert!(house.manager().house.modules().iter().all(|module| module.state == ModuleState::Stopped));
}
