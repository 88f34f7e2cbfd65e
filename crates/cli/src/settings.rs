//! `--set NAME=VALUE`: the protocol's numbers by their names.

use towpath::Config;
use towpath::ConfigError;

use crate::exit::Failure;

/// The default configuration with these settings, each `NAME=VALUE`.
pub(crate) fn config(settings: &[String]) -> Result<Config, Failure> {
    let mut config = Config::default();
    for setting in settings {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(Failure::refused(format!(
                "--set {setting}: want NAME=VALUE, such as --set tcp_syn_retries=3"
            )));
        };
        config.set_by_name(name.trim(), value.trim()).map_err(|error| refuse(setting, &error))?;
    }
    config.validate().map_err(|error| Failure::refused(format!("--set: {error}")))?;
    Ok(config)
}

fn refuse(setting: &str, error: &ConfigError) -> Failure {
    let list: Vec<_> = match error {
        ConfigError::Unknown(_) => Config::default().iter().map(|setting| setting.name).collect(),
        _ => Vec::new(),
    };
    let list = if list.is_empty() {
        String::new()
    } else {
        format!("; the settings are: {}", list.join(", "))
    };
    Failure::refused(format!("--set {setting}: {error}{list}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &[&str]) -> Result<Config, String> {
        let settings: Vec<_> = settings.iter().map(|text| (*text).to_owned()).collect();
        config(&settings).map_err(|failure| failure.to_string())
    }

    #[test]
    fn settings_are_by_name_and_the_last_of_a_name_counts() {
        let config = set(&["tcp_sack=0", "net.ipv4.tcp_syn_retries = 9", "tcp_sack=1"]).unwrap();
        assert_eq!(config, Config::default().tcp_syn_retries(9));
    }

    #[test]
    fn what_is_not_there_is_refused_with_the_list_and_the_rest_without() {
        let error = set(&["tcp_sock=1"]).unwrap_err();
        assert!(error.contains("tcp_sock=1") && error.contains("tcp_syn_retries"), "{error}");
        let error = set(&["tcp_congestion_control=vegas"]).unwrap_err();
        assert!(error.contains("cubic") && !error.contains("tcp_syn_retries"), "{error}");
        for wrong in ["tcp_sack", "tcp_sack=2", "tcp_wmem=3 2 1"] {
            let error = set(&[wrong]).unwrap_err();
            assert!(error.starts_with("--set") && !error.contains("tcp_syn_retries,"), "{error}");
        }
    }
}
