//! Fetches a survey's newest published statistics, verifies the three parties' signatures, and writes a file that others can
//! verify offline.
//!
//! `cargo run -p tercet-client --example published -- COORDINATOR_URL SURVEY_ID FILE`

use std::error::Error;

use tercet_client::coordinator::Coordinator;
use tercet_client::http::HttpOptions;
use tercet_client::query::{ResultFile, published};
use tercet_client::show;
use tercet_protocol::ids::SurveyId;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(id), Some(path)) = (args.next(), args.next(), args.next()) else {
        return Err("give the coordinator's address, the survey's id and a file".into());
    };
    let id: SurveyId = id.parse()?;
    let coordinator = Coordinator::new(&url, HttpOptions::default())?;
    // The descriptor hashes to the id, and it names the keys of the three parties: nothing that the coordinator says has to be
    // believed.
    let survey = coordinator.survey(id).await?;
    let file = published(&coordinator, &survey, None).await?;
    std::fs::write(&path, serde_json::to_vec_pretty(&file)?)?;

    // Whoever gets the file needs the survey's id and nothing else.
    let read = ResultFile::from_json(&std::fs::read(&path)?)?;
    let survey = read.verify(Some(id), None)?;
    print!("{}", show::to_text(&read.result, &survey));
    Ok(())
}
