#include "daemon/notify/notifier.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <random>

#include "daemon/clock.h"
#include "daemon/kafka_producer.h"
#include "daemon/log.h"
#include "daemon/notify/hmac.h"
#include "daemon/notify/sender.h"

namespace triaged {
namespace {

constexpr Duration kCommitInterval{200}, kPublishInterval{500}, kPollBound{5};
constexpr int kRecordsATurn = 500;
constexpr Duration kDrainBound{15'000};                 // below systemd's 90 s
constexpr Duration kForgetInterval{3600'000};
constexpr Duration kCommandBound{2'500};                // Slack waits 3 s for an answer, PagerDuty 5 s

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

NotifyTime Now() { return {WallTime(), MonotonicTime()}; }

void Add(MetricFamily* family, const std::string& destination, double value) {
  ClientMetric metric;
  if (!destination.empty()) metric.label = {{"destination", destination}};
  (family->type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family->metric.push_back(std::move(metric));
}

}  // namespace

Notifier::Notifier(NotifyConfig config) : config_(std::move(config)) {}

Notifier::~Notifier() {
  ack_server_.reset();
  for (auto& [name, lane] : lanes_) {
    {
      const std::lock_guard lock(lane.mutex);
      lane.stop = true;
    }
    lane.wake.notify_all();
    if (lane.thread.joinable()) lane.thread.join();
  }
}

void Notifier::Serve(const Destination& destination, Lane* lane) {
  while (true) {
    std::vector<NotifyPayload> payloads;
    {
      std::unique_lock lock(lane->mutex);
      lane->wake.wait(lock, [&] { return lane->stop || !lane->payloads.empty(); });
      if (lane->stop) return;
      payloads = std::exchange(lane->payloads, {});
    }
    SendOutcome outcome;
    for (const NotifyPayload& payload : payloads) {
      outcome = Send(destination, payload, WallTime());
      if (outcome.result != SendResult::kDelivered) break;  // what was sent is sent again: its key makes that harmless
    }
    const std::lock_guard lock(lane->mutex);
    lane->outcome = std::move(outcome);
  }
}

std::vector<NotifyPayload> Notifier::Render(const std::string& name, NotifyJob* job, Timestamp now) const {
  const Destination& destination = config_.destinations.at(name);
  if (destination.ack_links && config_.acknowledge) {
    const AcknowledgeConfig& ack = *config_.acknowledge;
    for (NotifyItem& item : job->items) {
      if (item.action != NotifyAction::kTrigger) continue;
      const NotifyEvent& event = *item.event;
      item.ack_token = MakeAckToken(
          {event.id, event.case_id, event.dedup_key, event.sequence, name, event.assignee, now + ack.lifetime},
          [&ack](std::string_view text) { return HmacSha256Hex(ack.key, text); });
      item.ack_url = ack.public_url + "/ack/" + item.ack_token;
    }
  }
  return RenderPayloads(destination, job->items, now);
}

Status Notifier::SendCommand(const Command& command) const {
  return ProduceOne(config_.bootstrap_servers, config_.properties,
                    TopicNames::For(config_.acknowledge->application_id).commands, command.case_id.partition,
                    ToString(command.case_id), CommandJson(command), kCommandBound);
}

Status Notifier::Bury(const NotifyDeadLetter& letter) {
  LogError("not delivered", {{"destination", letter.destination}, {"event", letter.event->id}, {"why", letter.reason}});
  return source_->DeadLetter(letter.event->case_id, letter.event->raw,
                             {{"triaged.error.reason", "not_delivered"}, {"triaged.error.stage", "notify"},
                              {"triaged.error.message", letter.reason}, {"triaged.destination", letter.destination}});
}

Status Notifier::Take(const KafkaSource::Record& record) {
  ++records_;
  auto event = ParseNotifyEvent(record.value);
  std::shared_ptr<const NotifyEvent> shared;
  if (event && *event) shared = std::make_shared<const NotifyEvent>(std::move(**event));
  if (!event) {
    ++garbage_;
    LogError("unreadable event", {{"partition", std::to_string(record.partition)},
                                  {"offset", std::to_string(record.offset)}, {"why", event.error().message}});
    const Status buried = source_->DeadLetter(
        record.key, record.value, {{"triaged.error.reason", "unreadable"}, {"triaged.error.stage", "notify"},
                                   {"triaged.error.message", event.error().message}});
    if (!buried) return buried;
  }
  dispatcher_->Offer(std::move(shared), record.partition, record.offset, Now());
  return {};
}

void Notifier::Collect(NotifyTime now) {
  for (auto& [name, lane] : lanes_) {
    std::optional<SendOutcome> outcome;
    {
      const std::lock_guard lock(lane.mutex);
      outcome = std::exchange(lane.outcome, std::nullopt);
      if (outcome) lane.busy = false;
    }
    if (!outcome) continue;
    if (outcome->result != SendResult::kDelivered) {
      LogWarn("delivery failed", {{"destination", name}, {"why", outcome->what}});
    }
    dispatcher_->Completed(name, *outcome, now);
  }
}

Status Notifier::Settle(NotifyTime now) {
  dispatcher_->Expire(now.steady);
  if (Status works = MemoryWorks(); !works) return works;
  for (const NotifyDeadLetter& letter : dispatcher_->TakeDeadLetters()) {
    if (Status buried = Bury(letter); !buried) return buried;
  }
  return {};
}

// What may be committed: nothing on the word of a memory that failed.
std::map<int32_t, int64_t> Notifier::Settled() const {
  return memory_->failed() ? std::map<int32_t, int64_t>() : dispatcher_->Committable();
}

Status Notifier::MemoryWorks() const {
  if (memory_->failed()) return EnvironmentError("the notifier's memory cannot be read or written");
  return {};
}

Status Notifier::Turn() {
  const NotifyTime now = Now();
  Collect(now);
  if (Status settled = Settle(now); !settled) return settled;
  for (auto& [name, lane] : lanes_) {
    auto job = dispatcher_->Next(name, now.steady);
    // A job may rest on an answer that could not be read: then it must not go out.
    if (Status works = MemoryWorks(); !works) return works;
    if (!job) continue;
    const std::lock_guard lock(lane.mutex);
    lane.payloads = Render(name, &*job, now.wall);
    lane.busy = true;
    lane.wake.notify_one();
  }
  if (now.steady - last_commit_ >= kCommitInterval) {
    last_commit_ = now.steady;
    // Not fatal: what is not committed is read again, and the memory knows it.
    if (Status done = source_->Commit(Settled()); !done) LogWarn(done.error().message);
  }
  if (now.steady - last_forget_ >= kForgetInterval) {
    last_forget_ = now.steady;
    return memory_->Forget(now.wall);
  }
  return {};
}

Status Notifier::Drain() {
  const Duration end = MonotonicTime() + kDrainBound;
  const auto busy = [this] {
    return std::any_of(lanes_.begin(), lanes_.end(), [](auto& entry) {
      const std::lock_guard lock(entry.second.mutex);
      return entry.second.busy;
    });
  };
  while (busy() && MonotonicTime() < end) {
    auto record = source_->Poll(kPollBound);  // keeps the membership; what it gives is read again
    if (!record) return record.error();
    Collect(Now());
    if (Status settled = Settle(Now()); !settled) return settled;
  }
  return source_->Commit(Settled());
}

Status Notifier::StartUp() {
  InitSender();
  auto memory = RocksNotifyMemory::Open(config_.storage_path, KeepOf(config_), WallTime());
  if (!memory) return memory.error();
  memory_ = std::move(*memory);
  last_forget_ = MonotonicTime();
  dispatcher_ = std::make_unique<Dispatcher>(config_, memory_.get(), std::random_device()());
  KafkaSource::Owner owner;
  owner.settled = [this] { return Settled(); };
  owner.revoked = [this](int32_t partition) { dispatcher_->Drop(partition); };
  auto source = KafkaSource::Make(config_, std::move(owner));
  if (!source) return source.error();
  source_ = std::move(*source);
  for (const auto& [name, destination] : config_.destinations) {
    Lane& lane = lanes_[name];
    lane.thread = std::thread([this, &destination, &lane] { Serve(destination, &lane); });
  }
  if (!config_.acknowledge) return {};
  AckHooks hooks;
  hooks.send = [this](const Command& command) { return SendCommand(command); };
  const auto known = [this](bool yes) -> Result<bool> {
    if (Status works = MemoryWorks(); !works) return works.error();
    return yes;
  };
  hooks.answered = [this, known](const std::string& key, const std::string& sequence) {
    return known(memory_->Answered(key) >= sequence);
  };
  hooks.told_pagerduty = [this, known](const std::string& key) {
    return known(std::any_of(config_.destinations.begin(), config_.destinations.end(), [&](const auto& entry) {
      return entry.second.kind == DestinationKind::kPagerDuty && !memory_->Told(entry.first, key).empty();
    }));
  };
  auto server = AckServer::Start(*config_.acknowledge, std::move(hooks));
  if (!server) return server.error();
  ack_server_ = std::move(*server);
  LogInfo("receiving acknowledgements", {{"port", std::to_string(ack_server_->port())}});
  return {};
}

Status Notifier::Run() {
  Status status = StartUp();
  while (!stopping_ && status) {
    source_->Pause(dispatcher_->full());
    for (int i = 0; i < kRecordsATurn && status && !dispatcher_->full(); ++i) {
      auto record = source_->Poll(i == 0 ? kPollBound : Duration{0});
      if (!record) return record.error();
      if (!*record) break;
      status = Take(**record);
    }
    if (dispatcher_->full()) {
      auto record = source_->Poll(kPollBound);  // paused: only keeps the membership
      if (!record) return record.error();
      if (*record) status = Take(**record);
    }
    if (status) status = Turn();
    ready_ = source_->joined();
    if (const Duration at = MonotonicTime(); at - last_publish_ >= kPublishInterval) {
      last_publish_ = at;
      Publish();
    }
  }
  return status ? Drain() : status;
}

void Notifier::Publish() {
  const Duration now = MonotonicTime();
  MetricFamily families[] = {
      Family("triaged_notify_delivered_total", "Events delivered.", MetricType::Counter),
      Family("triaged_notify_requests_total", "Requests made.", MetricType::Counter),
      Family("triaged_notify_retries_total", "Requests that failed and are tried again.", MetricType::Counter),
      Family("triaged_notify_failed_total", "Events given up: dead letter and fallback.", MetricType::Counter),
      Family("triaged_notify_withdrawn_total", "Events not sent because their case was answered.", MetricType::Counter),
      Family("triaged_notify_repeats_avoided_total", "Events read again that were delivered already.", MetricType::Counter),
      Family("triaged_notify_fallbacks_total", "Events handed to the fallback destination.", MetricType::Counter),
      Family("triaged_notify_queued_events", "Events that wait or are under way.", MetricType::Gauge),
      Family("triaged_notify_breaker_open", "1 while the circuit breaker holds requests back.", MetricType::Gauge),
      Family("triaged_notify_oldest_seconds", "Age of the event that waits longest.", MetricType::Gauge)};
  for (const auto& [name, destination] : config_.destinations) {
    const DestinationStats s = dispatcher_->Stats(name, now);
    const double values[] = {static_cast<double>(s.delivered), static_cast<double>(s.requests),
                             static_cast<double>(s.retries), static_cast<double>(s.failed),
                             static_cast<double>(s.withdrawn), static_cast<double>(s.already_delivered),
                             static_cast<double>(s.fallbacks), static_cast<double>(s.queued),
                             s.breaker_open ? 1.0 : 0.0, static_cast<double>(s.oldest.count()) / 1000};
    for (size_t i = 0; i < std::size(values); ++i) Add(&families[i], name, values[i]);
  }
  std::vector<MetricFamily> all(std::begin(families), std::end(families));
  all.push_back(Family("triaged_notify_records_total", "Records read.", MetricType::Counter));
  Add(&all.back(), {}, static_cast<double>(records_));
  all.push_back(Family("triaged_notify_unreadable_total", "Records that are no event: dead letters.", MetricType::Counter));
  Add(&all.back(), {}, static_cast<double>(garbage_));
  all.push_back(Family("triaged_notify_stale_total", "Events too old to page for.", MetricType::Counter));
  Add(&all.back(), {}, static_cast<double>(dispatcher_->stale()));
  all.push_back(Family("triaged_notify_queued_bytes", "Memory that queued events take, about.", MetricType::Gauge));
  Add(&all.back(), {}, static_cast<double>(dispatcher_->queued_bytes()));
  all.push_back(Family("triaged_notify_acknowledgements_total", "Acknowledgements received.", MetricType::Counter));
  constexpr std::pair<AckOutcome, const char*> kOutcomes[] = {{AckOutcome::kAccepted, "accepted"},
                                                              {AckOutcome::kIgnored, "ignored"},
                                                              {AckOutcome::kRefused, "refused"},
                                                              {AckOutcome::kFailed, "failed"}};
  for (const auto& [outcome, name] : kOutcomes) {
    ClientMetric metric;
    metric.label = {{"outcome", name}};
    metric.counter.value = ack_server_ ? static_cast<double>(ack_server_->Count(outcome)) : 0;
    all.back().metric.push_back(std::move(metric));
  }
  std::string text = prometheus::TextSerializer().Serialize(all);
  const std::lock_guard lock(text_mutex_);
  text_ = std::move(text);
}

std::string Notifier::MetricsText() const {
  const std::lock_guard lock(text_mutex_);
  return text_;
}

}  // namespace triaged
