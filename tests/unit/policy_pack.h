// What the tests of policy packs share: compiling a text, changing a part of it, and seeing it refused.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "pipeline/policy/policy.h"

namespace triaged {

inline std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The pack that has every mechanism.
inline std::string FullPack() { return ReadText(TRIAGED_SOURCE_DIR "/tests/scenario/engine/pack.yaml"); }

struct Compiled {
  FieldCatalog alerts{FieldCatalog::Taxonomy::kAlert};
  FieldCatalog cases{FieldCatalog::Taxonomy::kCase};
  Diagnostics diagnostics;
  std::shared_ptr<const Policy> policy;
  explicit Compiled(std::string text) {
    policy = CompilePolicy({"pack.yaml", std::move(text)}, &alerts, &cases, &diagnostics);
  }
};

inline std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, from);
  return text.replace(at, from.size(), to);
}

inline int LineOf(const std::string& text, size_t at) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

inline int LineOf(const std::string& text, const std::string& part) {
  const size_t at = text.find(part);
  REQUIRE_MESSAGE(at != std::string::npos, part);
  return LineOf(text, at);
}

// `pack` with `from` replaced does not compile; what is said has `message` in it, and a snippet. Where: nullptr asks
// only for some line of the file, "" for the one where `to` begins, any other text for the one where that stands.
inline void CheckRefusedIn(const std::string& pack, const std::string& from, const std::string& to,
                           const std::string& message, const char* where) {
  CAPTURE(from);
  CAPTURE(to);
  const std::string text = Replaced(pack, from, to);
  const Compiled compiled(text);
  const std::string rendered = compiled.diagnostics.Render();
  CAPTURE(rendered);
  CHECK_FALSE(compiled.policy);
  CHECK(rendered.find(message) != std::string::npos);
  REQUIRE_FALSE(compiled.diagnostics.items().empty());
  for (const Diagnostic& item : compiled.diagnostics.items()) {
    CHECK(item.where.file == "pack.yaml");
    CHECK(item.where.line > 0);
  }
  if (!where) return;
  const int line = *where ? LineOf(text, std::string(where)) : LineOf(text, pack.find(from));
  CHECK(rendered.find("pack.yaml:" + std::to_string(line) + ":") != std::string::npos);
}

}  // namespace triaged
