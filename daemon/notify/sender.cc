#include "daemon/notify/sender.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "daemon/clock.h"
#include "daemon/notify/hmac.h"

extern char** environ;

namespace triaged {
namespace {

constexpr size_t kMaxAnswer = 4096;
constexpr Duration kMaxRetryAfter{3600'000};

// Whether a host-order IPv4 address is on the public Internet (IANA's special-purpose registry, what can be reached).
bool PublicV4(uint32_t a) {
  const auto in = [a](uint32_t net, int bits) { return (a >> (32 - bits)) == (net >> (32 - bits)); };
  return !(in(0x00000000, 8) || in(0x0A000000, 8) || in(0x64400000, 10) || in(0x7F000000, 8) || in(0xA9FE0000, 16) ||
           in(0xAC100000, 12) || in(0xC0000000, 24) || in(0xC0A80000, 16) || in(0xC6120000, 15) || in(0xE0000000, 3));
}

bool PublicAddress(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    return PublicV4(ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr));
  }
  if (address->sa_family != AF_INET6) return false;
  const in6_addr& a = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&a)) {
    uint32_t v4 = 0;
    std::memcpy(&v4, a.s6_addr + 12, 4);
    return PublicV4(ntohl(v4));
  }
  const bool teredo_and_kin = a.s6_addr[0] == 0x20 && a.s6_addr[1] == 0x01 && (a.s6_addr[2] & 0xFE) == 0;
  const bool six_to_four = a.s6_addr[0] == 0x20 && a.s6_addr[1] == 0x02;  // carries an IPv4 address, which may be private
  // 2000::/3 is all that is global unicast.
  return (a.s6_addr[0] & 0xE0) == 0x20 && !teredo_and_kin && !six_to_four;
}

curl_socket_t OpenChecked(void* refused, curlsocktype, curl_sockaddr* address) {
  if (!PublicAddress(&address->addr)) {
    *static_cast<bool*>(refused) = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

size_t TakeAnswer(char* data, size_t, size_t size, void* to) {
  std::string* answer = static_cast<std::string*>(to);
  answer->append(data, std::min(size, kMaxAnswer - std::min(kMaxAnswer, answer->size())));
  return size;
}

struct Upload {
  std::string_view rest;
};

size_t GiveBody(char* to, size_t, size_t size, void* from) {
  Upload* upload = static_cast<Upload*>(from);
  const size_t count = std::min(size, upload->rest.size());
  std::memcpy(to, upload->rest.data(), count);
  upload->rest.remove_prefix(count);
  return count;
}

// HMAC-SHA256 over "<seconds>.<body>": the time is signed, so that a receiver can refuse an old request.
std::string Signature(const std::string& key, const std::string& body, Timestamp now) {
  const std::string seconds = std::to_string(ToUnixMillis(now) / 1000);
  return "X-Triaged-Signature: t=" + seconds + ",v1=" + HmacSha256Hex(key, seconds + "." + body);
}

struct CurlSlist {
  curl_slist* list = nullptr;
  void Add(const std::string& text) { list = curl_slist_append(list, text.c_str()); }
  ~CurlSlist() { curl_slist_free_all(list); }
};

SendOutcome OutcomeOf(CURL* curl, CURLcode code, bool refused, const Destination& d, const std::string& answer) {
  if (refused) {
    return {SendResult::kFinal, "the address is private or local: set allow_private if that is meant", Duration{0}};
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  const bool mail = d.kind == DestinationKind::kMail;
  if (code != CURLE_OK) {
    // 5xx of SMTP is permanent, everything else may pass.
    const bool final = mail && status >= 500 && status != 535;
    return {final ? SendResult::kFinal : SendResult::kRetry,
            std::string(curl_easy_strerror(code)) + (status ? " (status " + std::to_string(status) + ")" : ""), Duration{0}};
  }
  if (mail || (status >= 200 && status < 300)) return {};
  curl_off_t wait = 0;
  curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &wait);
  const std::string what = "status " + std::to_string(status) + ": " + answer.substr(0, 200);
  const bool again = status == 408 || status == 429 || status >= 500 || status < 200;
  return {again ? SendResult::kRetry : SendResult::kFinal, what,
          std::min<Duration>(Duration(wait * 1000), kMaxRetryAfter)};
}

SendOutcome SendCurl(const Destination& d, const NotifyPayload& payload, Timestamp now) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), &curl_easy_cleanup);
  CURL* curl = handle.get();
  const bool mail = d.kind == DestinationKind::kMail;
  bool refused = false;
  std::string answer;
  Upload upload{payload.body};
  CurlSlist headers, recipients;
  curl_easy_setopt(curl, CURLOPT_URL, d.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, mail ? "smtp,smtps" : "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(d.timeout.count()));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "triaged-notify/" TRIAGED_VERSION);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &TakeAnswer);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
  if (!d.ca_file.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, d.ca_file.c_str());
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  }
  if (!d.allow_private) {
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &OpenChecked);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &refused);
  }
  if (mail) {
    for (const std::string& to : d.to) recipients.Add("<" + to + ">");
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, ("<" + d.from + ">").c_str());
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients.list);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, &GiveBody);
    curl_easy_setopt(curl, CURLOPT_READDATA, &upload);
    // Without TLS only to an address that is explicitly local, and never with a password or an authority of its own.
    const bool plain = d.allow_private && d.user.empty() && d.ca_file.empty();
    curl_easy_setopt(curl, CURLOPT_USE_SSL, plain ? CURLUSESSL_TRY : CURLUSESSL_ALL);
    if (!d.user.empty()) {
      curl_easy_setopt(curl, CURLOPT_USERNAME, d.user.c_str());
      curl_easy_setopt(curl, CURLOPT_PASSWORD, d.secret.c_str());
    }
  } else {
    headers.Add("Content-Type: " + payload.content_type);
    headers.Add("Expect:");
    if (d.kind == DestinationKind::kWebhook && !d.secret.empty()) headers.Add(Signature(d.secret, payload.body, now));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.list);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, payload.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(payload.body.size()));
  }
  const CURLcode code = curl_easy_perform(curl);
  return OutcomeOf(curl, code, refused, d, answer);
}

// Writes the body to the child's standard input and waits, both until the deadline; then the child is killed.
SendOutcome Feed(pid_t child, int to, std::string_view body, Duration deadline) {
  bool late = false;
  int status = 0;
  while (true) {
    if (to >= 0 && !body.empty()) {
      const ssize_t count = write(to, body.data(), body.size());
      if (count > 0) body.remove_prefix(static_cast<size_t>(count));
      if (count < 0 && errno != EAGAIN && errno != EINTR) body = {};
    }
    if (to >= 0 && body.empty()) {
      close(to);
      to = -1;
    }
    if (waitpid(child, &status, WNOHANG) == child) break;
    if (!late && MonotonicTime() >= deadline) {
      late = true;
      kill(child, SIGKILL);
    }
    pollfd wait{to, POLLOUT, 0};
    poll(&wait, 1, 5);
  }
  if (to >= 0) close(to);
  if (late) return {SendResult::kRetry, "the command did not end in time", Duration{0}};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return {SendResult::kRetry, "the command ended with status " + std::to_string(status), Duration{0}};
}

SendOutcome RunCommand(const Destination& d, const NotifyPayload& payload) {
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) return {SendResult::kRetry, std::strerror(errno), Duration{0}};
  fcntl(pipes[1], F_SETFL, O_NONBLOCK);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[0], 0);
  // The command starts with the signals of a fresh process, not with those that we block.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> argv;
  for (const std::string& word : d.command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(pipes[0]);
  if (error != 0) {
    close(pipes[1]);
    return {SendResult::kRetry, "cannot run " + d.command.front() + ": " + std::strerror(error), Duration{0}};
  }
  return Feed(child, pipes[1], payload.body, MonotonicTime() + d.timeout);
}

}  // namespace

void InitSender() { curl_global_init(CURL_GLOBAL_DEFAULT); }

SendOutcome Send(const Destination& destination, const NotifyPayload& payload, Timestamp now) {
  return destination.kind == DestinationKind::kCommand ? RunCommand(destination, payload)
                                                       : SendCurl(destination, payload, now);
}

}  // namespace triaged
