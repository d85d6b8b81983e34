//! `limbeck teachers batches`: what is with the services, how to stop it, and what to do about what is lost.

mod decide;
mod list;

use std::path::PathBuf;

use clap::Args;
use limbeck_store::{Batch, BatchState, Store};

use self::decide::Decision;
use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint};
use crate::recipe::Recipe;

/// Arguments of `teachers batches`.
#[derive(Debug, Args)]
pub struct BatchesArgs {
    /// The recipe
    #[arg(required_unless_present = "workdir")]
    pub recipe: Option<PathBuf>,
    /// Where everything of the run is kept (default: `runs/NAME` of the recipe)
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// Ask the service to stop this batch, or `all` that are open; what was answered until then is collected by the
    /// next harvest
    #[arg(long, value_name = "ID", requires = "recipe")]
    pub cancel: Option<String>,
    /// Close this batch, whose fate is unknown, and have its questions asked again; if the service has it nevertheless,
    /// it is paid for twice
    #[arg(long, value_name = "ID", conflicts_with_all = ["cancel", "forget"])]
    pub send_again: Option<String>,
    /// Close this batch, whose fate is unknown, and give its questions up; they are counted at the most that they may
    /// have cost
    #[arg(long, value_name = "ID", conflicts_with = "cancel")]
    pub forget: Option<String>,
    /// JSON lines instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What `--cancel` takes for every open batch.
const ALL: &str = "all";

/// Lists batches, asks services to stop them, or closes what is lost.
pub async fn run(args: &BatchesArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let recipe = args.recipe.as_deref().map(Recipe::load).transpose()?;
    let workdir = match (&args.workdir, &recipe) {
        (Some(workdir), _) => workdir.clone(),
        (None, Some(recipe)) => PathBuf::from("runs").join(recipe.name()),
        (None, None) => anyhow::bail!("neither a recipe nor a work folder is named"),
    };
    let path = workdir.join("limbeck.db");
    // Reading does not take the store away from a harvest that waits for the same batches.
    let store = Store::open_read_only(&path).await?;
    let batches = store.batches().await?;
    store.close().await;
    let again = args.send_again.as_ref();
    let decision = again
        .map(|id| (id, Decision::SendAgain))
        .or(args.forget.as_ref().map(|id| (id, Decision::Forget)));
    match (&args.cancel, &recipe, decision) {
        (_, recipe, Some((id, decision))) => {
            let batch = one(&batches, id)?;
            decide::settle(batch, decision, recipe.as_ref(), &path, printer).await
        }
        (Some(id), Some(recipe), None) => {
            let chosen = open(&batches, id)?;
            decide::cancel(&chosen, recipe, printer).await
        }
        _ => list::list(&batches, args.json, &workdir, printer),
    }
}

/// The open batches that `id` names: the service's name, the number in the list, or all.
fn open(batches: &[Batch], id: &str) -> anyhow::Result<Vec<Batch>> {
    if id != ALL {
        let named = one(batches, id)?.clone();
        return Ok(if named.state == BatchState::Ended {
            Vec::new()
        } else {
            vec![named]
        });
    }
    let open = batches
        .iter()
        .filter(|batch| batch.state != BatchState::Ended);
    Ok(open.cloned().collect())
}

/// The batch that `id` names: the service's name or the number in the list.
fn one<'a>(batches: &'a [Batch], id: &str) -> anyhow::Result<&'a Batch> {
    let named =
        |batch: &&Batch| batch.remote_id.as_deref() == Some(id) || batch.number.to_string() == id;
    let found = batches.iter().find(named);
    found
        .ok_or_else(|| anyhow::anyhow!("there is no batch `{id}`"))
        .hint("`limbeck teachers batches` with the recipe or the work folder alone lists them")
}
