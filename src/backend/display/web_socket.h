#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mynah {

// A server's end of a WebSocket after the handshake [RFC 6455 5]: bytes of the connection to bytes
// of its messages and back. Messages are a stream to us: where one ends does not matter.
// Single-threaded.
class WebSocket {
  public:
    // Bytes from the client. Appends what they carry to `payload`, and answers to pings and closing
    // to `reply`. False: the connection is over once `reply` is sent.
    [[nodiscard]] bool receive(std::span<const std::byte> bytes, std::vector<std::byte>& payload,
                               std::vector<std::byte>& reply);

    // Appends one binary message.
    static void append_message(std::span<const std::byte> payload, std::vector<std::byte>& out);
    // The answer to a client's key [RFC 6455 4.2.2].
    static std::string accept_key(const std::string& key);

  private:
    bool begin_frame();
    bool end_frame(std::vector<std::byte>& reply);
    static size_t header_bytes(std::span<const std::byte> header);

    static constexpr size_t kHeaderMost = 14, kControlMost = 125;

    std::vector<std::byte> header_;
    bool in_frame_ = false, closed_ = false;
    uint8_t opcode_ = 0;
    uint64_t remaining_ = 0, position_ = 0;  // of the frame's payload
    std::array<std::byte, 4> mask_{};
    std::vector<std::byte> control_;  // payload of a control frame
};

}  // namespace mynah
