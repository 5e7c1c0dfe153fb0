//! `demo`: a small world that is read by the ordinary stages and changes while you watch. I/O: one folder, a listener, standard output.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Bad, Outcome,
    args::{DemoArgs, Global, Output, ServeArgs, WitnessArgs},
    config, gather, print, report,
    serve::bad,
};
use crate::{
    config::file::{File, Surroundings, WebEntry},
    daemon::{self, Setup},
    demo::{self, DemoError, Step, World},
    report::groups,
};

impl From<DemoError> for Bad {
    fn from(e: DemoError) -> Self {
        Self::Unknown(e.into())
    }
}

/// Builds the world, prints the report, and plays the story unless `--once`.
pub async fn run(args: DemoArgs, global: &Global) -> Outcome {
    let temporary = match &args.keep {
        Some(_) => None,
        None => Some(tempfile::tempdir()?),
    };
    let folder = args.keep.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path)).unwrap_or(Path::new("."));
    if args.keep.is_some() && folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Bad::Usage(anyhow::anyhow!("{} is not empty; --keep wants a new folder", folder.display())));
    }
    // Said before the world is made, not after.
    let web = WebEntry { listen: Some(args.listen.clone()), ..WebEntry::default() };
    File { web, ..File::default() }.validate(&Surroundings { cache_dir: folder.to_owned() })?;
    let world = World::create(folder, Timestamp::now())?;
    let witness = WitnessArgs { config: Some(world.configuration()), ..WitnessArgs::default() };
    let gathered = gather::gather(config::load(&witness)?, None, global).await?;
    print(&report::rendered(&gathered.report, Output::Table, false, global)?)?;
    if args.keep.is_some() {
        let file = world.configuration();
        print(&format!("\nThe world stays in {}. Look again:\n  snapgap report -f {}\n", folder.display(), file.display()))?;
    }
    if args.once {
        return Ok(0);
    }
    watch(args, witness, world, global).await
}

async fn watch(args: DemoArgs, witness: WitnessArgs, mut world: World, global: &Global) -> Outcome {
    let serve = ServeArgs { witness: witness.clone(), listen: Some(args.listen.clone()), enable_lifecycle: false, state_file: None };
    let configuration = config::load_for_serve(&serve)?;
    let redactor = gather::redactor(&configuration)?;
    let stop = CancellationToken::new();
    let (ready_out, ready) = tokio::sync::oneshot::channel();
    let setup = Setup {
        config: configuration,
        load: Box::new(move || config::load_for_serve(&serve).map_err(|e| e.to_string())),
        redactor,
        launcher: gather::launcher(),
        stop: stop.clone(),
        ready: Some(ready_out),
    };
    let daemon = tokio::spawn(daemon::run(setup));
    let story = async {
        let Ok(address) = ready.await else { return Ok(()) };
        print(&format!("\nServing http://{address}/ and http://{address}/metrics. The story begins; Ctrl-C ends it.\n"))?;
        for step in Step::ALL {
            tokio::time::sleep(Duration::from_secs(args.pace)).await;
            demo::play(&mut world, step, Timestamp::now())?;
            let report = gather::gather(config::load(&witness)?, None, global).await?.report;
            print(&format!("  {}\n    {}\n", step.told(), groups::headline(&report)))?;
        }
        if args.exit {
            tokio::time::sleep(Duration::from_secs(args.pace)).await;
            stop.cancel();
        } else {
            print("The story is told. The page stays; Ctrl-C ends it.\n")?;
            std::future::pending::<()>().await;
        }
        Ok::<(), Bad>(())
    };
    let ended = tokio::select! {
        ended = daemon => ended,
        told = story => {
            told?;
            stop.cancel();
            return Ok(0);
        }
    };
    ended.map_err(|e| Bad::Unknown(e.into()))?.map_err(bad)?;
    Ok(0)
}
