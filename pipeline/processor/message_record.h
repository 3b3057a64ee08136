// Messages between partitions as records of the commands topic: told from commands by a header.
#pragma once

#include <optional>

#include "pipeline/base/result.h"
#include "pipeline/decide/surroundings.h"
#include "pipeline/model/records.h"

namespace triaged {

OutputRecord MessageRecord(Message message);
// nullopt: a command. An error: somebody else wrote it, and it says what is wrong.
std::optional<Result<Message>> ReadMessage(const InputRecord& input);

}  // namespace triaged
