// WebConfig: TLS and basic authentication of the HTTP server, from the file that `web.config_file` or --web.config.file
// names. The format is the one that Prometheus' own servers read (exporter-toolkit, web-configuration):
//
//   tls_server_config:
//     cert_file: server.crt          # PEM, with its chain; read again for each connection, so that it can be renewed
//     key_file: server.key
//     client_auth_type: NoClientCert # or RequireAndVerifyClientCert
//     client_ca_file: clients.crt    # PEM of the authorities that sign client certificates
//   basic_auth_users:
//     prometheus: $2y$10$…           # bcrypt: htpasswd -nBC 10 prometheus
//
// Paths are relative to the file. Anything else in it is an error with its place.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/yaml.h"

namespace triaged {

struct TlsServerConfig {
  std::string cert_file;
  std::string key_file;
  std::string client_ca_file;  // not empty: a client must show a certificate signed by one of these
};

struct WebConfig {
  std::optional<TlsServerConfig> tls;
  std::map<std::string, std::string, std::less<>> users;  // name → bcrypt hash; empty: nobody is asked
};

// nullopt when `diagnostics` got an error. That certificate and key fit is found when the server starts.
std::optional<WebConfig> ParseWebConfig(const SourceFile& file, Diagnostics* diagnostics);
std::optional<WebConfig> LoadWebConfig(const std::string& path, Diagnostics* diagnostics);

}  // namespace triaged
