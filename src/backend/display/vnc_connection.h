#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "backend/display/rfb_session.h"
#include "backend/display/web_page.h"
#include "backend/display/web_socket.h"
#include "host/fd.h"

namespace mynah {

// One connection of the VNC server: a viewer, a viewer behind a WebSocket, or a browser that
// fetches a file. It never blocks and holds a bounded amount of what the other side does not read.
class VncConnection {
  public:
    using Clock = std::chrono::steady_clock;
    using MakeSession = std::function<std::unique_ptr<RfbSession>()>;

    // page: null for a viewer that speaks the protocol at once.
    VncConnection(Fd fd, const WebPage* page, MakeSession make_session);

    int fd() const { return fd_.get(); }
    bool wants_to_read() const { return !ending_ && unsent() < kUnsentMost; }
    bool wants_to_write() const { return unsent() > 0; }
    // Reads what is there and acts on it; sends what can be sent. False: it is over.
    [[nodiscard]] bool read_some();
    [[nodiscard]] bool write_some();
    // True for one that did not get as far as showing a picture in time.
    bool is_overdue(Clock::time_point now) const;

    RfbSession* session() { return session_.get(); }
    // What the session has to send goes on its way.
    void take_output();
    // An update may be sent: nothing earlier is on its way.
    bool is_drained() const { return unsent() == 0; }

  private:
    enum class Stage : uint8_t { kViewer, kRequest, kWebSocket, kFile };

    static constexpr size_t kRequestMost = 16 * 1024, kUnsentMost = 1 << 20;
    static constexpr std::chrono::seconds kGreetingTime{60};

    size_t unsent() const { return out_.size() - sent_; }
    void received(std::span<const std::byte> bytes);
    void received_request(std::span<const std::byte> bytes);
    void received_frames(std::span<const std::byte> bytes);
    void append(std::string_view text);

    Fd fd_;
    const WebPage* const page_;
    const MakeSession make_session_;
    const Clock::time_point begun_ = Clock::now();
    Stage stage_;
    bool ending_ = false;  // over when everything is sent
    std::string request_;
    WebSocket web_socket_;
    std::unique_ptr<RfbSession> session_;
    std::vector<std::byte> out_;
    size_t sent_ = 0;
};

}  // namespace mynah
