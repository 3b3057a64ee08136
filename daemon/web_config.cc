#include "daemon/web_config.h"

#include <filesystem>

#include "daemon/config.h"

namespace triaged {
namespace {

constexpr size_t kMaxUsers = 100;

// "$2y$10$" and 53 characters of salt and hash; 2a and 2b differ in bugs that are not ours.
bool IsBcrypt(std::string_view hash) {
  return hash.size() == 60 && (hash.starts_with("$2y$") || hash.starts_with("$2b$") || hash.starts_with("$2a$"));
}

std::optional<TlsServerConfig> ReadTls(MapReader& top, const std::string& base) {
  const YamlNode* node = top.Node("tls_server_config");
  if (!node) return std::nullopt;
  MapReader map(top.source(), *node, "tls_server_config", top.diagnostics());
  const auto path = [&](std::string_view key, bool required) {
    const std::string given = map.String(key, {}, required);
    return given.empty() ? given : (std::filesystem::path(base) / given).lexically_normal().string();
  };
  TlsServerConfig tls;
  tls.cert_file = path("cert_file", true);
  tls.key_file = path("key_file", true);
  const bool verify = map.Choice("client_auth_type", {"NoClientCert", "RequireAndVerifyClientCert"}, 0) == 1;
  tls.client_ca_file = path("client_ca_file", false);
  if (verify == tls.client_ca_file.empty()) {
    map.ErrorHere("`client_auth_type: RequireAndVerifyClientCert` and `client_ca_file` belong together: one of them is missing");
  }
  map.Finish();
  return tls;
}

void ReadUsers(MapReader& top, WebConfig* out) {
  const YamlNode* node = top.Node("basic_auth_users");
  if (!node) return;
  if (!node->IsMap() || node->map().empty() || node->map().size() > kMaxUsers) {
    return top.ErrorAt(*node, "`basic_auth_users` is a map of 1 to " + std::to_string(kMaxUsers) + " names to bcrypt hashes");
  }
  for (const auto& entry : node->map()) {
    const std::string hash = entry.value.IsScalar() ? entry.value.scalar() : "";
    if (entry.key.empty() || entry.key.find(':') != std::string::npos) {
      top.ErrorAt(entry.value, "a user's name is not empty and has no colon (RFC 7617, 2)");
    } else if (!IsBcrypt(hash)) {
      // Without the line: it may hold the password itself.
      top.diagnostics()->Error({top.source().name, entry.value.line(), entry.value.column()},
                               "the hash of user '" + entry.key + "' is not bcrypt (\"$2y$10$…\", 60 characters)", {},
                               "make it with: htpasswd -nBC 10 " + entry.key);
    } else {
      out->users.emplace(entry.key, hash);
    }
  }
}

}  // namespace

std::optional<WebConfig> ParseWebConfig(const SourceFile& file, Diagnostics* diagnostics) {
  Diagnostics found;
  WebConfig config;
  const auto yaml = ParseYaml(file, &found);
  if (yaml && yaml->documents.size() == 1) {
    MapReader top(*yaml->source, yaml->documents.front(), "the web configuration", &found);
    config.tls = ReadTls(top, std::filesystem::path(file.name).parent_path().string());
    ReadUsers(top, &config);
    if (!config.tls && config.users.empty() && !found.HasErrors()) {
      top.ErrorHere("neither `tls_server_config` nor `basic_auth_users`: the file protects nothing");
    }
    top.Finish();
  } else if (yaml) {
    found.Error({file.name, 1, 1}, "expected one YAML document, found " + std::to_string(yaml->documents.size()));
  }
  diagnostics->Append(found);
  if (found.HasErrors()) return std::nullopt;
  return config;
}

std::optional<WebConfig> LoadWebConfig(const std::string& path, Diagnostics* diagnostics) {
  const auto file = ReadSourceFile(path);
  if (file) return ParseWebConfig(*file, diagnostics);
  diagnostics->Error({path, 0, 0}, file.error().message);
  return std::nullopt;
}

}  // namespace triaged
