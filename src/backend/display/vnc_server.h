#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "backend/display/damage.h"
#include "backend/display/input_sink.h"
#include "backend/display/rfb_session.h"
#include "backend/display/screen.h"
#include "backend/display/vnc_connection.h"
#include "backend/display/web_page.h"
#include "base/mutex.h"
#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// Where a screen is served and to whom.
struct VncOptions {
    struct Tcp {
        std::string address = "127.0.0.1";  // numeric
        uint16_t port = 0;                  // 0: any that is free
    };
    std::string origin = "--graphics vnc";  // what messages name
    std::string name = "mynah";             // of the machine
    std::string unix_path = {};             // not empty: a Unix socket there
    std::optional<Tcp> tcp = {};
    std::optional<Tcp> web = {};  // a page with a viewer, and WebSockets
    std::string web_root = "/usr/share/novnc";
    std::optional<std::string> password = {};
    // Text a viewer copied; on the server's thread.
    std::function<void(const std::string&)> clipboard = {};
};

// A VNC server [RFC 6143] for one screen: any number of viewers up to kConnectionsMost, each with
// an encoding and a speed of its own, all of whom may type and point. The picture is drawn about 30
// times a second while somebody waits for it, and not at all otherwise. It runs on a thread of its
// own; what a viewer does wrong ends that viewer's connection.
class VncServer final : public DisplaySink {
  public:
    static constexpr size_t kConnectionsMost = 32;

    // Error: names the option and why. Who could be anybody (an address that is not the host's
    // own) is only served with a password. screen and input outlive the server.
    static Result<std::unique_ptr<VncServer>> start(VncOptions options, Screen& screen,
                                                    InputSink& input);
    ~VncServer() override;

    uint16_t port() const { return port_; }             // 0: no TCP
    uint16_t web_port() const { return web_port_; }     // 0: no page
    size_t viewers() const { return viewers_.load(); }  // who see the picture
    // Text for the viewers' clipboards. Any thread.
    void send_clipboard(std::string text) EXCLUDES(mutex_);

    void changed(const Surface& surface, std::span<const Rect> rects) override EXCLUDES(mutex_);

  private:
    using Clock = std::chrono::steady_clock;
    struct Listener {
        Fd fd;
        bool web;
    };
    static constexpr std::chrono::milliseconds kRefreshTime{33};

    VncServer(VncOptions options, Screen& screen, InputSink& input,
              std::vector<Listener> listeners);
    void run();
    int poll_time(Clock::time_point now) const;
    void accept_from(const Listener& listener);
    std::unique_ptr<RfbSession> make_session();
    void serve(const std::vector<short>& events);
    void refresh();
    void send_texts() EXCLUDES(mutex_);
    bool may_try_password() const;
    void tried_password(bool passed);

    const VncOptions options_;
    Screen& screen_;
    InputSink& input_;
    const std::vector<Listener> listeners_;
    uint16_t port_ = 0, web_port_ = 0;
    Fd wake_;
    std::atomic<bool> stop_{false};
    std::atomic<size_t> viewers_{0};

    // Only the server's thread.
    RfbSettings settings_;
    WebPage page_;
    std::list<VncConnection> connections_;
    bool watched_ = false;  // somebody waits for an update
    Clock::time_point next_refresh_{};
    unsigned wrong_passwords_ = 0;  // in a row
    Clock::time_point password_from_{};

    Mutex mutex_;
    Damage damage_ GUARDED_BY(mutex_);
    std::vector<std::string> texts_ GUARDED_BY(mutex_);

    std::thread thread_;
};

}  // namespace mynah
