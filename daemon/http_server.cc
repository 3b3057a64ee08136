#include "daemon/http_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <charconv>
#include <thread>
#include <type_traits>

#include "daemon/log.h"

namespace triaged {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using PlainStream = beast::tcp_stream;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

constexpr int kThreads = 4;
constexpr int kMaxConnections = 64;
constexpr uint32_t kMaxHeaderBytes = 16 * 1024;
constexpr uint64_t kMaxBodyBytes = 256 * 1024;
constexpr auto kPatience = std::chrono::seconds(10);

struct Address {
  std::string host;
  uint16_t port = 0;
};

Result<Address> ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  Address address;
  const auto bad = [&] { return BadInput("listen address '" + text + "' is not host:port (\"127.0.0.1:9464\")"); };
  if (colon == std::string::npos || colon == 0) return bad();
  address.host = text.substr(0, colon);
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  const char* begin = text.data() + colon + 1;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(begin, end, address.port);
  if (error != std::errc() || at != end) return bad();
  return address;
}

std::string OpenSslError() {
  char text[256] = "no reason given";
  if (const unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

// The certificate of one connection, from the files as they are now.
int UseCertificate(SSL* ssl, void* tls_config) {
  const auto& tls = *static_cast<const TlsServerConfig*>(tls_config);
  const bool used = SSL_use_certificate_chain_file(ssl, tls.cert_file.c_str()) == 1 &&
                    SSL_use_PrivateKey_file(ssl, tls.key_file.c_str(), SSL_FILETYPE_PEM) == 1;
  ERR_clear_error();
  return used ? 1 : 0;
}

// `tls` must outlive the context.
Status SetUpTls(SSL_CTX* context, TlsServerConfig* tls) {
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // What is wrong with the files is better said at the start than to the first client.
  if (SSL_CTX_use_certificate_chain_file(context, tls->cert_file.c_str()) != 1) {
    return BadInput("web configuration: cert_file " + tls->cert_file + ": " + OpenSslError());
  }
  if (SSL_CTX_use_PrivateKey_file(context, tls->key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return BadInput("web configuration: key_file " + tls->key_file + " (it must be the certificate's key): " + OpenSslError());
  }
  SSL_CTX_set_cert_cb(context, UseCertificate, tls);
  if (tls->client_ca_file.empty()) return {};
  if (SSL_CTX_load_verify_locations(context, tls->client_ca_file.c_str(), nullptr) != 1) {
    return BadInput("web configuration: client_ca_file " + tls->client_ca_file + ": " + OpenSslError());
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // Sessions that verify clients need a name, or a client that resumes one is refused.
  constexpr unsigned char kSessions[] = "triaged";
  SSL_CTX_set_session_id_context(context, kSessions, sizeof kSessions - 1);
  return {};
}

HttpRequest ToRequest(http::request<http::string_body>&& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string target(message.target());
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string::npos) request.query = target.substr(question + 1);
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    request.headers[name] = std::string(field.value());
  }
  request.body = std::move(message.body());
  return request;
}

http::response<http::string_body> ToMessage(HttpResponse&& response, bool head) {
  http::response<http::string_body> message;
  message.version(11);
  message.result(static_cast<unsigned>(response.status));
  message.set(http::field::content_type, response.type);
  message.set("X-Content-Type-Options", "nosniff");
  message.set(http::field::cache_control, "no-store");
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.keep_alive(false);
  message.content_length(response.body.size());
  if (!head) message.body() = std::move(response.body);
  return message;
}

// One connection: handshake, one request, one answer. It lives as long as something of it is under way.
template <typename Stream>
class Session : public std::enable_shared_from_this<Session<Stream>> {
 public:
  Session(Stream stream, const HttpHandler& handler, std::atomic<int>* connections)
      : stream_(std::move(stream)), handler_(handler), connections_(connections) {
    parser_.header_limit(kMaxHeaderBytes);
    parser_.body_limit(kMaxBodyBytes);
  }
  ~Session() { --*connections_; }

  void Run() {
    beast::get_lowest_layer(stream_).expires_after(kPatience);
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      stream_.async_handshake(asio::ssl::stream_base::server, [self = this->shared_from_this()](beast::error_code error) {
        if (!error) self->Read();
      });
    } else {
      Read();
    }
  }

 private:
  void Read() {
    http::async_read(stream_, buffer_, parser_, [self = this->shared_from_this()](beast::error_code error, size_t) {
      self->Answer(error);
    });
  }

  void Answer(beast::error_code error) {
    bool head = false;
    HttpResponse response;
    if (error == http::error::body_limit || error == http::error::header_limit) {
      response = {413, "text/plain; charset=utf-8", "the request is too large\n", {}};
    } else if (error && error.category() == http::make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message) {
      response = {400, "text/plain; charset=utf-8", "not an HTTP request\n", {}};
    } else if (error) {
      return;  // gone, or too slow
    } else {
      HttpRequest request = ToRequest(parser_.release());
      head = request.method == "HEAD";
      response = handler_(request);
    }
    message_ = ToMessage(std::move(response), head);
    beast::get_lowest_layer(stream_).expires_after(kPatience);
    http::async_write(stream_, message_, [self = this->shared_from_this()](beast::error_code failed, size_t) {
      if (!failed) self->End();
    });
  }

  void End() {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      stream_.async_shutdown([self = this->shared_from_this()](beast::error_code) {});
    } else {
      beast::error_code ignored;
      stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    }
  }

  Stream stream_;
  const HttpHandler& handler_;
  std::atomic<int>* connections_;
  beast::flat_buffer buffer_{kMaxHeaderBytes + kMaxBodyBytes};
  http::request_parser<http::string_body> parser_;
  http::response<http::string_body> message_;
};

}  // namespace

struct HttpServer::Impl {
  Impl(HttpHandler given, const std::optional<TlsServerConfig>& tls) : handler(std::move(given)), tls_config(tls) {}

  Status Listen(const std::string& text, const Address& address) {
    beast::error_code error;
    tcp::resolver resolver(context);
    const auto found = resolver.resolve(address.host, std::to_string(address.port), tcp::resolver::passive, error);
    if (!error) {
      const tcp::endpoint endpoint = found.begin()->endpoint();
      acceptor.open(endpoint.protocol(), error);
      if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
      if (!error) acceptor.bind(endpoint, error);
      if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error) return EnvironmentError("cannot listen on " + text + ": " + error.message());
    if (!tls_config) return {};
    tls_context.emplace(asio::ssl::context::tls_server);
    return SetUpTls(tls_context->native_handle(), &*tls_config);
  }

  void Accept() {
    acceptor.async_accept(asio::make_strand(context), [this](beast::error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error && connections < kMaxConnections) {
        ++connections;
        if (tls_context) {
          std::make_shared<Session<TlsStream>>(TlsStream(std::move(socket), *tls_context), handler, &connections)->Run();
        } else {
          std::make_shared<Session<PlainStream>>(PlainStream(std::move(socket)), handler, &connections)->Run();
        }
      }
      Accept();
    });
  }

  void Serve() {
    try {
      context.run();
    } catch (const std::exception& e) {  // out of memory in a handler: the connection is lost, the server is not
      LogError("the HTTP server has trouble", {{"error", e.what()}});
    }
  }

  void Start() {
    Accept();
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([this] {
        while (!context.stopped()) Serve();
      });
    }
  }

  ~Impl() {
    context.stop();
    for (std::thread& thread : threads) thread.join();
  }

  HttpHandler handler;
  std::optional<TlsServerConfig> tls_config;
  std::atomic<int> connections{0};  // outlives the context, whose end ends the sessions
  std::optional<asio::ssl::context> tls_context;
  asio::io_context context{kThreads};
  tcp::acceptor acceptor{context};
  std::vector<std::thread> threads;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, HttpHandler handler,
                                                      const std::optional<TlsServerConfig>& tls) {
  const auto parsed = ParseAddress(address);
  if (!parsed) return parsed.error();
  auto impl = std::make_unique<Impl>(std::move(handler), tls);
  if (Status listening = impl->Listen(address, *parsed); !listening) return listening.error();
  impl->Start();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

int HttpServer::port() const {
  beast::error_code error;
  return impl_->acceptor.local_endpoint(error).port();
}

bool HttpServer::IsLoopback(const std::string& address) {
  return address.starts_with("127.") || address.starts_with("localhost:") || address.starts_with("[::1]:");
}

}  // namespace triaged
