#include "daemon/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <memory>

#include "daemon/clock.h"
#include "pipeline/base/utf8.h"

namespace triaged {
namespace {

LogFormat g_format = LogFormat::kLogfmt;

// JSON's escapes serve both forms: logfmt quotes with the same rules.
void AppendEscaped(std::string_view text, std::string* line) {
  for (char ch : text) {
    const auto byte = static_cast<unsigned char>(ch);
    if (ch == '"' || ch == '\\') {
      line->push_back('\\');
      line->push_back(ch);
    } else if (ch == '\n') {
      *line += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", byte);
      *line += code;
    } else {
      line->push_back(ch);
    }
  }
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (char ch : text) {
    if (static_cast<unsigned char>(ch) <= 0x20 || ch == '"' || ch == '=' || ch == '\\' || ch == 0x7f) return true;
  }
  return false;
}

void AppendField(LogFormat format, std::string_view key, std::string_view raw, std::string* line) {
  const std::string text = SanitiseUtf8(raw);
  if (!line->empty()) line->push_back(format == LogFormat::kJson ? ',' : ' ');
  if (format == LogFormat::kJson) {
    *line += '"';
    AppendEscaped(key, line);
    *line += "\":\"";
    AppendEscaped(text, line);
    *line += '"';
    return;
  }
  line->append(key);
  line->push_back('=');
  const bool quotes = NeedsQuotes(text);
  if (quotes) line->push_back('"');
  AppendEscaped(text, line);
  if (quotes) line->push_back('"');
}

void Write(spdlog::level::level_enum level, std::string_view name, std::string_view message, LogFields fields) {
  if (!spdlog::default_logger_raw()->should_log(level)) return;
  const std::string line = FormatLogLine(g_format, FormatTimestamp(WallTime()), name, message, fields);
  spdlog::default_logger_raw()->log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

std::string FormatLogLine(LogFormat format, std::string_view time, std::string_view level, std::string_view message,
                          LogFields fields) {
  std::string line;
  AppendField(format, "ts", time, &line);
  AppendField(format, "level", level, &line);
  AppendField(format, "msg", message, &line);
  for (const auto& [key, value] : fields) AppendField(format, key, value, &line);
  return format == LogFormat::kJson ? "{" + line + "}" : line;
}

void InitLog(std::string_view level, LogFormat format) {
  g_format = format;
  auto logger = std::make_shared<spdlog::logger>("triaged", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%v");
  logger->set_level(spdlog::level::from_str(std::string(level)));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void LogDebug(std::string_view message, LogFields fields) { Write(spdlog::level::debug, "debug", message, fields); }
void LogInfo(std::string_view message, LogFields fields) { Write(spdlog::level::info, "info", message, fields); }
void LogWarn(std::string_view message, LogFields fields) { Write(spdlog::level::warn, "warn", message, fields); }
void LogError(std::string_view message, LogFields fields) { Write(spdlog::level::err, "error", message, fields); }
void FlushLog() { spdlog::default_logger_raw()->flush(); }

}  // namespace triaged
