#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backend/vhost/vhost_user_client.h"
#include "base/result.h"
#include "host/event_fd.h"

namespace mynah {

// Told on the link's thread, with no lock held.
class VhostUserLinkEvents {
  public:
    virtual ~VhostUserLinkEvents() = default;
    // The back end used buffers of this queue.
    virtual void called(uint16_t queue) = 0;
    virtual void config_changed() = 0;
    // The back end went away: the client is to be destroyed before this returns.
    virtual void lost() = 0;
    // Another one is there. Error: it cannot take over, and it is tried again later; a clause.
    virtual Result<void> found(std::unique_ptr<VhostUserClient> client) = 0;
};

// A connection to a vhost-user back end that is made again after the back end went away, with the
// eventfds of its queues, and the thread that waits for them.
class VhostUserLink {
  public:
    // The back end must be there. Error: names `origin` ("--disk vhost-user="), the path and why.
    static Result<std::unique_ptr<VhostUserLink>> open(const std::string& path,
                                                       const std::string& origin,
                                                       uint16_t most_queues, uint64_t wanted);
    ~VhostUserLink() { stop(); }
    VhostUserLink(const VhostUserLink&) = delete;
    VhostUserLink& operator=(const VhostUserLink&) = delete;

    // Instead of `most_queues`, for who knows only from the back end how many; before start().
    Result<void> make_bells(uint16_t queues);
    const std::string& origin() const { return origin_; }

    // The connection that open() made; before start().
    VhostUserClient& first_client() { return *first_; }
    std::unique_ptr<VhostUserClient> take_client() { return std::move(first_); }
    // Begins to watch; before that nothing is told.
    void start(VhostUserLinkEvents& events);
    // Nothing is told any more when it returns.
    void stop();

    // Any thread.
    void kick(uint16_t queue) const { bells_[queue].kick.signal(); }
    int kick_fd(uint16_t queue) const { return bells_[queue].kick.fd(); }
    int call_fd(uint16_t queue) const { return bells_[queue].call.fd(); }

  private:
    struct Bells {
        EventFd kick, call;
    };
    VhostUserLink(std::string path, std::string origin, uint64_t wanted)
        : path_(std::move(path)), origin_(std::move(origin)), wanted_(wanted) {}

    Result<std::unique_ptr<VhostUserClient>> connect();
    void run();
    void wait_once();
    void retry();
    void lose();
    void serve_backend_request();

    static constexpr int kRetryMs = 100;
    // A back end has this long for the rest of a message it has begun.
    static constexpr int kMessageMs = 1000;

    const std::string path_, origin_;
    const uint64_t wanted_;
    std::vector<Bells> bells_;
    std::unique_ptr<VhostUserClient> first_;
    int socket_ = -1;  // of the client, for as long as it lives
    Fd requests_;      // our end of the back end's own socket
    VhostUserMessage message_;
    VhostUserLinkEvents* events_ = nullptr;
    EventFd wake_;
    std::atomic<bool> stopping_{false};
    std::string last_failure_;
    std::thread thread_;
};

}  // namespace mynah
