// Log: one line per event, as logfmt or JSON, on stderr.
//
// Data never becomes a format string and is always escaped: a quote or newline in an alert cannot forge a line.
// Thread-safe. Levels: debug, info, warn, error.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/config.h"

namespace triaged {

using LogFields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

void InitLog(std::string_view level, LogFormat format);
void LogDebug(std::string_view message, LogFields fields = {});
void LogInfo(std::string_view message, LogFields fields = {});
void LogWarn(std::string_view message, LogFields fields = {});
void LogError(std::string_view message, LogFields fields = {});
void FlushLog();

// The line without time and level, for tests.
std::string FormatLogLine(LogFormat format, std::string_view time, std::string_view level, std::string_view message,
                          LogFields fields);

}  // namespace triaged
