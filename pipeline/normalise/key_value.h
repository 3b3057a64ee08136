// KeyValue: CEF and LEEF, the two header-and-key=value texts that products wrap into JSON. Pure.
//
// CEF:Version|Vendor|Product|Version|EventClassID|Name|Severity|key=value … with \| in the header and \=, \\, \n in
// values; a value may hold spaces. LEEF:1.0|Vendor|Product|Version|EventID| with tabs between the pairs, LEEF:2.0 with a
// delimiter of its own (a character, or its code as x5E or 0x5E) as sixth field. Spaces before the version are passed
// over. Of a syslog header before it (RFC 3164 or RFC 5424) the time and the host are read; anything else there is passed
// over.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace triaged {

// Gets each pair in order: syslogTime and syslogHost where they are; header fields under the names deviceVendor,
// deviceProduct, deviceVersion, deviceEventClassId, name and severity; then the text's own keys. `value` is part of the
// input, still escaped; `escaped` says whether Unescape is needed.
using KeyValueSink = std::function<void(std::string_view key, std::string_view value, bool escaped)>;

// False when the text is none: then the sink was not called.
bool ParseCef(std::string_view text, const KeyValueSink& sink);
bool ParseLeef(std::string_view text, const KeyValueSink& sink);

// \\, \|, \=, \n and \r resolved.
std::string Unescape(std::string_view text);

}  // namespace triaged
