#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "backend/display/rfb_session.h"
#include "backend/display/web_page.h"
#include "backend/display/web_socket.h"

namespace mynah::testing {

// Viewers and browsers that send anything: a session of the protocol, with or without a password,
// perhaps behind a WebSocket, and requests for pages.
inline void drive_rfb_viewer(std::span<const uint8_t> bytes) {
    class NoInput final : public InputSink {
      public:
        void key(uint16_t, bool) override {}
        void point(const Place&) override {}
        void button(PointerButton, bool) override {}
        void wheel(int, int) override {}
    };
    if (bytes.empty()) return;
    const uint8_t how = bytes.front();
    bytes = bytes.subspan(1);
    if ((how & 7) == 7) {
        const std::string text(bytes.begin(), bytes.end());
        if (const auto request = parse_http_request(text)) {
            WebPage("/nowhere").answer(*request);
        }
        return;
    }
    RfbSettings settings{.name = "fuzz"};
    if ((how & 1) != 0) settings.password = "sesame";
    NoInput input;
    Surface surface;
    surface.resize(100, 70);
    RfbSession session(settings, input, 100, 70);
    WebSocket socket;
    const bool framed = (how & 2) != 0;
    // Most inputs get past the greeting.
    if ((how & 5) == 4) {
        const std::string greeting = "RFB 003.008\n\1\1";
        (void)session.receive(std::as_bytes(std::span(greeting)));
    }
    bool open = true;
    for (unsigned round = 0; open && !bytes.empty(); ++round) {
        const size_t size = std::min<size_t>(1 + (how >> 3) * 7, bytes.size());
        const auto part = std::as_bytes(bytes.first(size));
        bytes = bytes.subspan(size);
        if (framed) {
            std::vector<std::byte> payload, reply;
            open = socket.receive(part, payload, reply);
            open = session.receive(payload) && open;
        } else {
            open = session.receive(part);
        }
        if (round == 5) surface.resize(64, 200);
        surface.row(round % surface.height())[round % surface.width()] ^=
            round * 0x10203 & 0xffffff;
        Damage damage;
        damage.resize(surface.width(), surface.height());
        session.add(damage);
        session.update(surface);
        session.output().clear();
    }
}

}  // namespace mynah::testing
