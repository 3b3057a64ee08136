#include "daemon/notify/kafka_source.h"

#include "daemon/log.h"

namespace triaged {
namespace {

constexpr int kFlushMillis = 15'000;

void OnDelivered(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  if (message->_private) *static_cast<rd_kafka_resp_err_t*>(message->_private) = message->err;
}

}  // namespace

void KafkaSource::OnRebalance(rd_kafka_t* handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list,
                              void* opaque) {
  KafkaSource* self = static_cast<KafkaSource*>(opaque);
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    rd_kafka_assign(handle, list);
    self->joined_ = true;
    self->paused_ = false;
    LogInfo("partitions assigned", {{"count", std::to_string(list->cnt)}});
    return;
  }
  // What is settled goes along with the partitions, else their next owner tells it again; unless they are lost already.
  if (!rd_kafka_assignment_lost(handle)) {
    if (Status done = self->Commit(self->owner_.settled()); !done) LogWarn(done.error().message);
  }
  for (int i = 0; i < list->cnt; ++i) {
    self->committed_.erase(list->elems[i].partition);
    self->owner_.revoked(list->elems[i].partition);
  }
  rd_kafka_assign(handle, nullptr);
}

Result<std::unique_ptr<KafkaSource>> KafkaSource::Make(const NotifyConfig& config, Owner owner) {
  std::unique_ptr<KafkaSource> source(new KafkaSource(config, std::move(owner)));
  auto conf = MakeConf({{"session.timeout.ms", "10000"}}, config.properties,
                       {{"bootstrap.servers", config.bootstrap_servers}, {"group.id", config.group},
                        {"enable.auto.commit", "false"}, {"enable.auto.offset.store", "false"},
                        {"isolation.level", "read_committed"}, {"auto.offset.reset", "earliest"},
                        {"partition.assignment.strategy", "range"}, {"queued.max.messages.kbytes", "16384"}});
  if (!conf) return conf.error();
  rd_kafka_conf_set_opaque(conf->get(), source.get());
  rd_kafka_conf_set_rebalance_cb(conf->get(), &OnRebalance);
  auto consumer = MakeHandle(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!consumer) return consumer.error();
  source->consumer_ = std::move(*consumer);
  rd_kafka_poll_set_consumer(source->consumer_.get());
  auto out = MakeConf({{"message.timeout.ms", "10000"}}, config.properties,
                      {{"bootstrap.servers", config.bootstrap_servers}, {"enable.idempotence", "true"}});
  if (!out) return out.error();
  rd_kafka_conf_set_dr_msg_cb(out->get(), &OnDelivered);
  auto producer = MakeHandle(RD_KAFKA_PRODUCER, std::move(*out));
  if (!producer) return producer.error();
  source->producer_ = std::move(*producer);
  const RdPartitionList topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), config.topic.c_str(), RD_KAFKA_PARTITION_UA);
  const auto error = rd_kafka_subscribe(source->consumer_.get(), topics.get());
  if (error) return EnvironmentError("cannot subscribe to " + config.topic + ": " + ErrorText(error));
  return source;
}

KafkaSource::~KafkaSource() {
  if (consumer_) rd_kafka_consumer_close(consumer_.get());
}

Result<std::optional<KafkaSource::Record>> KafkaSource::Poll(Duration bound) {
  const RdMessage message(rd_kafka_consumer_poll(consumer_.get(), Millis(bound)));
  if (!message) return std::optional<Record>();
  if (message->err) {
    char text[256];
    if (rd_kafka_fatal_error(consumer_.get(), text, sizeof text)) return EnvironmentError(text);
    LogWarn("reading escalations", {{"why", rd_kafka_message_errstr(message.get())}});
    return std::optional<Record>();
  }
  Record record{message->partition, message->offset, {}, {}};
  if (message->key) record.key.assign(static_cast<const char*>(message->key), message->key_len);
  if (message->payload) record.value.assign(static_cast<const char*>(message->payload), message->len);
  return std::optional<Record>(std::move(record));
}

void KafkaSource::Pause(bool paused) {
  if (paused == paused_) return;
  rd_kafka_topic_partition_list_t* raw = nullptr;
  if (rd_kafka_assignment(consumer_.get(), &raw) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  const RdPartitionList list(raw);
  paused ? rd_kafka_pause_partitions(consumer_.get(), raw) : rd_kafka_resume_partitions(consumer_.get(), raw);
  paused_ = paused;
}

Status KafkaSource::Commit(const std::map<int32_t, int64_t>& offsets) {
  const RdPartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  for (const auto& [partition, offset] : offsets) {
    const auto known = committed_.find(partition);
    if (known != committed_.end() && known->second == offset) continue;
    rd_kafka_topic_partition_list_add(list.get(), config_.topic.c_str(), partition)->offset = offset;
  }
  if (list->cnt == 0) return {};
  const auto error = rd_kafka_commit(consumer_.get(), list.get(), /*async=*/0);
  if (error) return EnvironmentError("cannot commit offsets: " + ErrorText(error));
  for (int i = 0; i < list->cnt; ++i) committed_[list->elems[i].partition] = list->elems[i].offset;
  return {};
}

Status KafkaSource::DeadLetter(const std::string& key, const std::string& value,
                               const std::map<std::string, std::string>& headers) {
  rd_kafka_headers_t* list = rd_kafka_headers_new(headers.size());
  for (const auto& [name, text] : headers) {
    rd_kafka_header_add(list, name.c_str(), -1, text.data(), static_cast<ssize_t>(text.size()));
  }
  rd_kafka_resp_err_t delivered = RD_KAFKA_RESP_ERR__IN_PROGRESS;
  const auto error = rd_kafka_producev(
      producer_.get(), RD_KAFKA_V_TOPIC(config_.dead_letter_topic.c_str()), RD_KAFKA_V_KEY(key.data(), key.size()),
      RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_OPAQUE(&delivered), RD_KAFKA_V_END);
  if (error) {
    rd_kafka_headers_destroy(list);
    return EnvironmentError("dead letter: " + ErrorText(error));
  }
  rd_kafka_flush(producer_.get(), kFlushMillis);
  if (delivered == RD_KAFKA_RESP_ERR__IN_PROGRESS) {
    // Its report would be written to a variable that is gone.
    rd_kafka_purge(producer_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(producer_.get(), kFlushMillis);
  }
  if (delivered) return EnvironmentError("dead letter not written to " + config_.dead_letter_topic + ": " + ErrorText(delivered));
  return {};
}

}  // namespace triaged
