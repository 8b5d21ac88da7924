#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backend/vhost/vhost_client.h"
#include "base/result.h"
#include "host/event_fd.h"

namespace mynah {

// Told on the link's thread, with no lock held.
class VhostLinkEvents {
  public:
    virtual ~VhostLinkEvents() = default;
    // The back end used buffers of this queue.
    virtual void called(uint16_t queue) = 0;
    virtual void config_changed() = 0;
    // The back end went away: the client is to be destroyed before this returns.
    virtual void lost() = 0;
    // Another one is there. Error: it cannot take over, and it is tried again later; a clause.
    virtual Result<void> found(std::unique_ptr<VhostClient> client) = 0;
};

// A connection to a back end that is made again after the back end went away, with the eventfds of
// its queues, and the thread that waits for them.
class VhostLink {
  public:
    // Connects. Error: names the path and why.
    using Connector = std::function<Result<std::unique_ptr<VhostClient>>()>;

    // The back end must be there. Error: names `origin` ("--disk vhost-user="), the path and why.
    static Result<std::unique_ptr<VhostLink>> open(const std::string& path,
                                                   const std::string& origin, uint16_t most_queues,
                                                   Connector connect);
    // The same for a vhost-user back end; `wanted`: protocol features.
    static Result<std::unique_ptr<VhostLink>> open(const std::string& path,
                                                   const std::string& origin, uint16_t most_queues,
                                                   uint64_t wanted);
    ~VhostLink() { stop(); }
    VhostLink(const VhostLink&) = delete;
    VhostLink& operator=(const VhostLink&) = delete;

    // Instead of `most_queues`, for who knows only from the back end how many; before start().
    Result<void> make_bells(uint16_t queues);
    const std::string& origin() const { return origin_; }
    std::string name() const { return origin_ + path_; }

    // The connection that open() made; before start().
    VhostClient& first_client() { return *first_; }
    std::unique_ptr<VhostClient> take_client() { return std::move(first_); }
    // Begins to watch; before that nothing is told.
    void start(VhostLinkEvents& events);
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
    VhostLink(std::string path, std::string origin, Connector connect)
        : path_(std::move(path)), origin_(std::move(origin)), connect_(std::move(connect)) {}

    Result<std::unique_ptr<VhostClient>> connect();
    void run();
    void wait_once();
    void retry();
    void lose();

    static constexpr int kRetryMs = 100;

    const std::string path_, origin_;
    const Connector connect_;
    std::vector<Bells> bells_;
    std::unique_ptr<VhostClient> first_;
    VhostClient* client_ = nullptr;  // whoever has it; null: there is none
    VhostLinkEvents* events_ = nullptr;
    EventFd wake_;
    std::atomic<bool> stopping_{false};
    std::string last_failure_;
    std::thread thread_;
};

}  // namespace mynah
