// Sending one payload: HTTP and SMTP through libcurl, or a local command. Blocks at most the destination's timeout.
//
// The address that a name resolves to is checked when the connection is made (no rebinding): private, loopback, link-local
// and multicast addresses are refused unless allow_private. No redirects, no proxy from the environment, no other
// protocols. Thread-safe after InitSender.
#pragma once

#include <string>

#include "pipeline/notify/dispatcher.h"

namespace triaged {

void InitSender();
SendOutcome Send(const Destination& destination, const NotifyPayload& payload, Timestamp now);

}  // namespace triaged
