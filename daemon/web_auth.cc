#include "daemon/web_auth.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <strings.h>

#include <optional>

namespace triaged {
namespace {

constexpr std::string_view kBasic = "Basic ";
constexpr size_t kMaxHeader = 1024;
// Compared with when there is no such user, so that the answer takes as long: bcrypt of no password anybody knows.
constexpr const char* kNobody = "$2b$10$7EqJtq98hPqEX7fNZaFWoO5w5q6pL0Y0gXvGmZ4O1c1vQJ3nYbM1e";

std::optional<std::string> DecodeBase64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, 0);
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  bytes.resize(static_cast<size_t>(size) - padding);
  return bytes;
}

std::string Digest(std::string_view user, std::string_view hash, std::string_view password) {
  std::string all(user);
  all.append(1, '\0').append(hash).append(1, '\0').append(password);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(all.data(), all.size(), digest, &size, EVP_sha256(), nullptr);
  OPENSSL_cleanse(all.data(), all.size());
  return std::string(reinterpret_cast<const char*>(digest), size);
}

bool BcryptMatches(const std::string& password, const std::string& hash) {
  if (password.find('\0') != std::string::npos) return false;  // crypt would stop there
  crypt_data data{};
  const char* made = crypt_r(password.c_str(), hash.c_str(), &data);
  const bool equal = made && std::string_view(made).size() == hash.size() && CRYPTO_memcmp(made, hash.data(), hash.size()) == 0;
  OPENSSL_cleanse(&data, sizeof data);
  return equal;
}

}  // namespace

bool BasicAuth::Allows(std::string_view given) const {
  if (!required()) return true;
  if (given.size() > kMaxHeader || given.size() < kBasic.size() ||
      strncasecmp(given.data(), kBasic.data(), kBasic.size()) != 0) {
    return false;
  }
  auto pair = DecodeBase64(given.substr(kBasic.size()));
  const size_t colon = pair ? pair->find(':') : std::string::npos;
  const bool allowed = colon != std::string::npos && Matches(pair->substr(0, colon), pair->substr(colon + 1));
  if (pair) OPENSSL_cleanse(pair->data(), pair->size());
  return allowed;
}

bool BasicAuth::Matches(std::string_view user, const std::string& password) const {
  const auto found = users_.find(user);
  const std::string hash = found == users_.end() ? kNobody : found->second;
  const std::string digest = Digest(user, hash, password);
  {
    const std::lock_guard lock(mutex_);
    if (known_.contains(digest)) return true;
  }
  if (!BcryptMatches(password, hash) || found == users_.end()) return false;
  const std::lock_guard lock(mutex_);
  known_.insert(digest);
  return true;
}

}  // namespace triaged
