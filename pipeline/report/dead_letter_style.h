// Headers that other consumers of dead letters expect, beside ours (CONTRACTS.md, Dead letters).
//
// Kafka Connect (KIP-298, "Error Reporting") writes its as text; Spring for Apache Kafka (reference, "Dead-letter Record
// Headers") writes numbers as big-endian bytes. Pure; thread-safe.
#pragma once

#include <cstdint>

#include "pipeline/model/records.h"

namespace triaged {

enum class DeadLetterStyle : uint8_t { kTriaged, kConnect, kSpring };

// Adds the style's headers, made of the triaged.error.* ones that DeadLetterRecord wrote. kTriaged adds nothing.
void AddDeadLetterHeaders(DeadLetterStyle style, OutputRecord* dead_letter);

}  // namespace triaged
