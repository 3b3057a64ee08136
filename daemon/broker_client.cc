#include "daemon/broker_client.h"

namespace triaged {

TopicNames TopicNames::For(std::string_view application_id) {
  const std::string prefix = std::string(application_id) + ".";
  return {prefix + "intake", prefix + "commands", prefix + "state", prefix + "steps",
          prefix + "escalations", prefix + "cases", prefix + "dead-letter", prefix + "signals", prefix + "archive"};
}

const std::string& TopicNames::Of(OutputTopic topic) const {
  switch (topic) {
    case OutputTopic::kIntake: return intake;
    case OutputTopic::kCommands: return commands;
    case OutputTopic::kState: return state;
    case OutputTopic::kSteps: return steps;
    case OutputTopic::kEscalations: return escalations;
    case OutputTopic::kCases: return cases;
    case OutputTopic::kDeadLetter: return dead_letter;
    case OutputTopic::kSignals: return signals;
    case OutputTopic::kArchive: return archive;
  }
  return dead_letter;
}

}  // namespace triaged
