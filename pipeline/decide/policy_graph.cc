// The ladder of a policy as a picture: levels, and what leads from one to another.
#include <algorithm>
#include <map>
#include <utility>

#include "pipeline/decide/explain.h"

namespace triaged {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (char ch : text) {
    if (ch == '"' || ch == '\\') quoted += '\\';
    quoted += ch;
  }
  return quoted + "\"";
}

std::string Times(const Policy& policy, const TimesBySeverity& times) {
  std::string text;
  for (size_t i = 0; i < policy.severities.size(); ++i) {
    if (times[i]) text += (text.empty() ? "" : "\\n") + policy.severities[i].name + " " + FormatDuration(*times[i]);
  }
  return text;
}

void Edge(const Policy& policy, size_t from, size_t to, const std::string& label, const char* style, std::string* out) {
  // Labels hold line breaks as Graphviz writes them, so they are quoted here and not escaped again.
  *out += "  " + Quoted(policy.levels[from].name) + " -> " + Quoted(policy.levels[to].name) + " [label=\"" + label +
          "\", style=" + style + "];\n";
}

}  // namespace

std::string PolicyGraph(const Policy& policy) {
  std::string out = "digraph " + Quoted(policy.name) + " {\n  rankdir=BT;\n  node [shape=box];\n";
  for (const LevelSpec& level : policy.levels) {
    out += "  " + Quoted(level.name) + " [label=" + Quoted(level.name + ": " + level.role + " (" + level.team + ")") +
           "];\n";
  }
  const bool entered = policy.matrix_since == MatrixSince::kLevelEntered;
  for (size_t level = 1; level < policy.levels.size(); ++level) {
    const std::string times = Times(policy, policy.levels[level].reached_after);
    if (!times.empty())
      Edge(policy, level - 1, level, (entered ? "in level\\n" : "since opening\\n") + times, "solid", &out);
    if (policy.repeat_interval > Duration{0}) Edge(policy, level - 1, level, "not acknowledged", "dotted", &out);
  }
  if (policy.hard_limit) {
    Edge(policy, 0, policy.hard_limit->to_level, "hard limit\\n" + Times(policy, policy.hard_limit->after), "bold",
         &out);
  }
  std::map<std::pair<size_t, size_t>, std::string> criteria;
  for (const Criterion& criterion : policy.criteria) {
    for (size_t from = 0; from < policy.levels.size(); ++from) {
      if (!(criterion.at_levels >> from & 1)) continue;
      const size_t to = criterion.to_level.value_or(static_cast<uint8_t>(from + 1));
      std::string& label = criteria[{from, criterion.again ? std::max(from, to) : to}];
      label += (label.empty() ? "" : "\\n") + criterion.name + (criterion.bypass ? " (bypass)" : "");
    }
  }
  for (const auto& [edge, label] : criteria) Edge(policy, edge.first, edge.second, label, "dashed", &out);
  for (const RoleSpec& role : policy.engaged_roles) {
    out += "  " + Quoted("role " + role.name) +
           " [shape=ellipse, label=" + Quoted(role.title + " (" + role.team + ")") + "];\n";
  }
  return out + "}\n";
}

}  // namespace triaged
