// Frames from the inside: for the codec's own files only.
#pragma once

#include <string>
#include <string_view>

#include "pipeline/base/result.h"
#include "storage/codec.h"

namespace triaged {

// A frame with room for its checksum; append the payload, then seal it with EndFrame.
std::string BeginFrame(RecordKind kind, size_t payload_hint);
void EndFrame(std::string* frame);

// The payload of a sound frame of this kind.
Result<std::string_view> OpenFrame(RecordKind kind, std::string_view frame);

Error DamagedRecord(RecordKind kind, std::string_view what);

}  // namespace triaged
