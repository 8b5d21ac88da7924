#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "backend/character/file_backend.h"
#include "backend/character/pty_backend.h"
#include "backend/character/socket_backend.h"

namespace mynah {
namespace {

class CollectingSink final : public CharacterSink {
  public:
    size_t input_space() override { return 1000; }
    void input(std::span<const std::byte> bytes) override {
        MutexLock lock(mutex_);
        text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    bool gets(const std::string& wanted) {
        for (int i = 0; i < 5000; ++i) {
            {
                MutexLock lock(mutex_);
                if (text_ == wanted) return true;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }

  private:
    Mutex mutex_;
    std::string text_ GUARDED_BY(mutex_);
};

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string read_some(int fd, size_t size) {
    std::string text(size, '\0');
    size_t done = 0;
    while (done < size) {
        const ssize_t got = read(fd, text.data() + done, size - done);
        if (got <= 0) break;
        done += static_cast<size_t>(got);
    }
    text.resize(done);
    return text;
}

class StreamBackends : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "stream-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    static Fd connect_to(const std::string& path) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        return fd;
    }
    std::filesystem::path directory_;
    CollectingSink sink_;
};

TEST_F(StreamBackends, FileTakesOutput) {
    const std::string path = directory_ / "log";
    std::ofstream(path) << "something old and long";
    auto backend = FileBackend::open(path, "--serial file=log");
    ASSERT_TRUE(backend);
    backend.value()->output(bytes("hello"));
    std::stringstream content;
    content << std::ifstream(path).rdbuf();
    EXPECT_EQ(content.str(), "hello");
}

TEST_F(StreamBackends, FileThatCannotBeWrittenIsNamed) {
    const auto backend = FileBackend::open(directory_, "--serial file=d");
    ASSERT_FALSE(backend);
    EXPECT_THAT(backend.error().message(),
                testing::HasSubstr("--serial file=d: cannot be written"));
}

TEST_F(StreamBackends, PtyCarriesBothWays) {
    auto backend = PtyBackend::open();
    ASSERT_TRUE(backend);
    backend.value()->set_sink(&sink_);
    for (int visit = 0; visit < 2; ++visit) {
        const Fd visitor(open(backend.value()->device_path().c_str(), O_RDWR | O_NOCTTY));
        ASSERT_TRUE(visitor.valid());
        backend.value()->output(bytes("out\n"));
        EXPECT_EQ(read_some(visitor.get(), 4), "out\n");
        EXPECT_EQ(write(visitor.get(), "in", 2), 2);
        EXPECT_TRUE(sink_.gets(visit == 0 ? "in" : "inin"));
    }
    backend.value()->set_sink(nullptr);
}

TEST_F(StreamBackends, PtyThatNobodyReadsHoldsNobodyUp) {
    auto backend = PtyBackend::open();
    ASSERT_TRUE(backend);
    const auto start = std::chrono::steady_clock::now();
    const std::string line(1000, 'x');
    for (int i = 0; i < 1000; ++i) backend.value()->output(bytes(line));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST_F(StreamBackends, SocketServesOneClientAfterAnother) {
    const std::string path = directory_ / "serial";
    auto backend = SocketBackend::listen(path, "--serial socket=s");
    ASSERT_TRUE(backend) << backend.error().message();
    backend.value()->set_sink(&sink_);
    std::string wanted;
    for (const char* word : {"one", "two"}) {
        const Fd client = connect_to(path);
        EXPECT_EQ(write(client.get(), word, 3), 3);
        wanted += word;
        EXPECT_TRUE(sink_.gets(wanted));  // and so the backend has the connection
        backend.value()->output(bytes("reply"));
        EXPECT_EQ(read_some(client.get(), 5), "reply");
    }
    backend.value()->set_sink(nullptr);
    backend.value().reset();
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(StreamBackends, SocketLeavesWhatIsThereAlone) {
    const std::string path = directory_ / "file";
    std::ofstream(path) << "precious";
    EXPECT_FALSE(SocketBackend::listen(path, "--serial socket=file"));
    EXPECT_TRUE(std::filesystem::exists(path));
    const std::string live = directory_ / "live";
    const auto first = SocketBackend::listen(live, "--serial socket=live");
    ASSERT_TRUE(first);
    EXPECT_FALSE(SocketBackend::listen(live, "--serial socket=live"));
}

TEST_F(StreamBackends, SocketReplacesAnAbandonedOne) {
    const std::string path = directory_ / "old";
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        const Fd fd(socket(AF_UNIX, SOCK_STREAM, 0));
        ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    EXPECT_TRUE(SocketBackend::listen(path, "--serial socket=old"));
}

}  // namespace
}  // namespace mynah
