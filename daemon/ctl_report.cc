// triagectl handoff and report: what people read about cases, from case documents.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "daemon/case_documents.h"
#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/ctl_load.h"
#include "daemon/kafka_reader.h"
#include "pipeline/base/zone.h"
#include "pipeline/policy/policy.h"
#include "pipeline/report/handoff_view.h"
#include "pipeline/report/history_view.h"
#include "pipeline/report/review.h"
#include "pipeline/report/template_text.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

int Failed(const Error& error) {
  std::fprintf(stderr, "triagectl: %s\n", error.message.c_str());
  return kExitFailed;
}

// The user's folder, that beside the configuration, or the shipped one.
std::filesystem::path TemplateFolder(const std::string& config_path, const std::string& asked) {
  if (!asked.empty()) return asked;
  const auto beside = std::filesystem::path(config_path).parent_path() / "templates";
  std::error_code error;
  if (std::filesystem::is_directory(beside, error)) return beside;
  return std::filesystem::path(DefaultConfigPath()).parent_path() / "templates";
}

Result<std::string> Render(const std::filesystem::path& folder, const OutputStyle& style, const Json& view) {
  const std::filesystem::path path = folder / style.language / (style.name + ".mustache");
  const auto file = ReadSourceFile(path.string());
  if (!file) return BadInput("there is no template '" + style.name + "': " + file.error().message);
  const TextStyle escape = style.format == "text"   ? TextStyle::kPlain
                           : style.format == "html" ? TextStyle::kHtml
                                                    : TextStyle::kMarkdown;
  auto text = RenderTemplateText(path.string(), file->text, view, escape);
  if (text && style.format == "text") return PlainFromMarkdown(*text);
  return text;
}

int Print(const std::string& config_path, const OutputStyle& style, const Json& view) {
  if (style.format == "json") {
    std::cout << view.dump(2) << '\n';
    return kExitOk;
  }
  const auto text = Render(TemplateFolder(config_path, style.templates), style, view);
  if (!text) return Failed(text.error());
  std::cout << *text;
  return kExitOk;
}

// The packs of the configuration, for their goals and rosters. Documents from a file are reported without them, too.
std::vector<std::shared_ptr<const Policy>> LoadPolicies(const std::string& config_path) {
  Diagnostics diagnostics;
  FieldCatalog alerts(FieldCatalog::Taxonomy::kAlert), cases(FieldCatalog::Taxonomy::kCase);
  std::vector<std::shared_ptr<const Policy>> policies;
  const auto config = LoadConfig(config_path, &diagnostics);
  if (config) {
    for (const SourceFile& file : ReadSources(config->policies, &diagnostics)) {
      if (auto policy = CompilePolicy(file, &alerts, &cases, &diagnostics)) policies.push_back(std::move(policy));
    }
  }
  if (diagnostics.HasErrors()) {
    std::fprintf(stderr, "%striagectl: goals and people on shift are left out\n", diagnostics.Render().c_str());
    policies.clear();
  }
  return policies;
}

Language LanguageOf(const OutputStyle& style) {
  return style.language == "ja" ? Language::kJapanese : Language::kEnglish;
}

bool KnownZone(const std::string& zone) {
  if (zone.empty() || Zone::Find(zone)) return true;
  std::fprintf(stderr, "triagectl: --zone '%s' is no IANA time zone\n", zone.c_str());
  return false;
}

}  // namespace

int Handoff(const std::string& config_path, const HandoffOptions& options) {
  if (!KnownZone(options.style.zone)) return kExitUsage;
  const auto id = ParseCaseId(options.case_id);
  if (!id && !options.case_id.empty()) {
    std::fprintf(stderr, "triagectl: '%s' is not a case id (partition-sequence, as in 3-17)\n", options.case_id.c_str());
    return kExitUsage;
  }
  const bool shift = options.case_id.empty();
  if (shift && (options.from.empty() || options.to.empty())) {
    std::fprintf(stderr, "triagectl: handoff takes a case, or --from and --to of a shift\n");
    return kExitUsage;
  }
  const ViewStyle view_style{LanguageOf(options.style), options.style.zone};
  OutputStyle style = options.style;
  if (shift) {
    const auto from = ReadTime("--from", options.from), to = ReadTime("--to", options.to);
    if (!from || !to) return kExitUsage;
    const auto documents = ReadDocuments(config_path, options.input);
    if (!documents) return Failed(documents.error());
    std::vector<Json> list;
    for (const auto& [case_id, document] : *documents) list.push_back(document);
    style.name = "shift";
    return Print(config_path, style, ShiftView(list, *from, *to, view_style));
  }
  const auto documents = ReadDocuments(config_path, options.input);
  if (!documents) return Failed(documents.error());
  const auto found = documents->find(*id);
  if (found == documents->end()) return Failed(BadInput("there is no document of case " + options.case_id));
  return Print(config_path, style, HandoffView(found->second, view_style));
}

int Report(const std::string& config_path, const ReportOptions& options) {
  if (!KnownZone(options.style.zone)) return kExitUsage;
  const auto from = ReadTime("--from", options.from), to = ReadTime("--to", options.to);
  if (!from || !to) return kExitUsage;
  if (*to <= *from) {
    std::fprintf(stderr, "triagectl: --to must be later than --from\n");
    return kExitUsage;
  }
  const auto documents = ReadDocuments(config_path, options.input);
  if (!documents) return Failed(documents.error());
  std::vector<Json> list;
  for (const auto& [id, document] : *documents) list.push_back(document);
  OutputStyle style = options.style;
  if (options.cases) {
    style.name = "history";
    const std::string zone = options.style.zone.empty() ? "UTC" : options.style.zone;
    return Print(config_path, style, HistoryView(list, {*from, *to, options.status, options.severity, zone, LanguageOf(style)}));
  }
  ReviewOptions review;
  review.from = *from;
  review.to = *to;
  review.language = LanguageOf(options.style);
  if (!options.style.zone.empty()) review.zone = options.style.zone;
  if (options.period == "month") review.period = ReviewPeriod::kMonth;
  if (options.period == "quarter") review.period = ReviewPeriod::kQuarter;
  const auto policies = LoadPolicies(config_path);
  for (const auto& policy : policies) review.policies[policy->name] = policy.get();
  Json view = ReviewView(list, review);
  style.name = style.format == "html" ? "report-html" : "report";
  if (style.format == "html") AddPlots(&view, review.language);
  return Print(config_path, style, view);
}

}  // namespace triaged
