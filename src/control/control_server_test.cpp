#include "control/control_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "control/machine_place.h"
#include "control/qmp_client.h"
#include "control/recording_machine_test.h"

namespace mynah {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ControlServerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "control-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
        runtime_ = directory_ / "mynah";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    MachinePlace claim(const std::string& name) {
        auto place = MachinePlace::claim(runtime_, name);
        EXPECT_TRUE(place.ok()) << (place.ok() ? "" : place.error().message());
        return place.take_value();
    }
    std::string refusal(const std::string& name) {
        const auto place = MachinePlace::claim(runtime_, name);
        return place.ok() ? "" : place.error().message();
    }
    std::unique_ptr<ControlServer> serve(const std::string& path) {
        auto server = ControlServer::start(path, "--name", machine_);
        EXPECT_TRUE(server.ok()) << (server.ok() ? "" : server.error().message());
        return server.take_value();
    }
    // A connection without a client's manners.
    static Fd connect_to(const std::string& path) {
        Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        return fd;
    }
    // Everything until the server closes.
    static std::string read_all(const Fd& fd) {
        constexpr int kPatience = 60'000;
        std::string text;
        while (true) {
            pollfd source{fd.get(), POLLIN, 0};
            if (poll(&source, 1, kPatience) != 1) {
                ADD_FAILURE() << "the server is silent";
                return text;
            }
            char buffer[4096];
            const ssize_t got = recv(fd.get(), buffer, sizeof buffer, 0);
            if (got <= 0) return text;
            text.append(buffer, static_cast<size_t>(got));
        }
    }

    std::filesystem::path directory_, runtime_;
    testing::RecordingMachine machine_;
};

TEST_F(ControlServerTest, AClientAsksAndTheMachineActs) {
    const MachinePlace place = claim("box");
    const auto server = serve(place.control_path());
    EXPECT_EQ(place.control_path(), control_path(runtime_, "box"));
    auto client = QmpClient::connect(place.control_path());
    ASSERT_TRUE(client.ok()) << client.error().message();
    EXPECT_EQ(client.value().server(), getpid());
    const auto name = client.value().execute("query-name", json::object());
    ASSERT_TRUE(name.ok());
    EXPECT_EQ(name.value(), (json{{"name", "box"}}));
    const auto shot = [&](const std::string& path) {
        return client.value().execute("screendump", {{"filename", path}, {"format", "png"}});
    };
    EXPECT_TRUE(shot("/tmp/x").ok());
    EXPECT_EQ(shot("refused").error().message(), "refused: no picture");
    EXPECT_THAT(shot("\xff").error().message(), HasSubstr("UTF-8"));
    EXPECT_TRUE(client.value().execute("quit", json::object()).ok());
    EXPECT_THAT(machine_.notes(), ElementsAre("screenshot /tmp/x", "screenshot refused", "quit"));
}

TEST_F(ControlServerTest, WhatOneClientDoesWrongIsItsOwnAffair) {
    const MachinePlace place = claim("box");
    const auto server = serve(place.control_path());
    auto good = QmpClient::connect(place.control_path());
    ASSERT_TRUE(good.ok());
    const Fd bad = connect_to(place.control_path());
    const std::string deep(1000, '{');
    send(bad.get(), deep.data(), deep.size(), MSG_NOSIGNAL);
    EXPECT_THAT(read_all(bad), HasSubstr("too deep"));
    // One that never reads: what it says after a while is not taken any more.
    const Fd deaf = connect_to(place.control_path());
    const std::string question = "{\"execute\":\"none\"}";
    for (int i = 0; i < 100'000; ++i) {
        if (send(deaf.get(), question.data(), question.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
    }
    EXPECT_TRUE(good.value().execute("query-name", json::object()).ok());
}

TEST_F(ControlServerTest, ConnectionsAreCounted) {
    const MachinePlace place = claim("box");
    const auto server = serve(place.control_path());
    std::vector<QmpClient> clients;
    for (size_t i = 0; i < ControlServer::kConnectionsMost; ++i) {
        auto client = QmpClient::connect(place.control_path());
        ASSERT_TRUE(client.ok());
        clients.push_back(client.take_value());
    }
    EXPECT_FALSE(QmpClient::connect(place.control_path()).ok());
    EXPECT_TRUE(clients.front().execute("query-name", json::object()).ok());
}

TEST_F(ControlServerTest, ANameIsTakenOnce) {
    {
        const MachinePlace place = claim("box");
        const auto server = serve(place.control_path());
        EXPECT_EQ(refusal("box"), "--name box: a machine of this name is running already");
        const MachinePlace other = claim("attic");
        EXPECT_THAT(running_machines(runtime_), ElementsAre("attic", "box"));
        for (const auto& path : {runtime_, runtime_ / "box"}) {
            struct stat status {};
            ASSERT_EQ(stat(path.c_str(), &status), 0);
            EXPECT_EQ(status.st_mode & 0777, 0700u);
        }
    }
    EXPECT_THAT(running_machines(runtime_), IsEmpty());
    EXPECT_TRUE(std::filesystem::is_empty(runtime_));
    claim("box");
}

// As after a kill: folder, lock and socket are there, and nobody holds them.
TEST_F(ControlServerTest, WhatAKilledMachineLeavesIsTakenOver) {
    std::filesystem::create_directories(runtime_ / "box");
    for (const auto& path : {runtime_, runtime_ / "box"})
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    std::ofstream(runtime_ / "box" / "lock");
    {
        const Fd socket_file(socket(AF_UNIX, SOCK_STREAM, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        control_path(runtime_, "box").copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(bind(socket_file.get(), reinterpret_cast<sockaddr*>(&address), sizeof address),
                  0);
    }
    EXPECT_THAT(running_machines(runtime_), IsEmpty());
    const MachinePlace place = claim("box");
    const auto server = serve(place.control_path());
    EXPECT_TRUE(QmpClient::connect(place.control_path()).ok());
}

TEST_F(ControlServerTest, AFolderThatOthersCanEnterIsRefused) {
    std::filesystem::create_directory(runtime_);
    std::filesystem::permissions(runtime_, std::filesystem::perms::all);
    EXPECT_THAT(refusal("box"), HasSubstr("only this user"));
    std::filesystem::remove(runtime_);
    std::filesystem::create_directory_symlink(directory_, runtime_);
    EXPECT_THAT(refusal("box"), HasSubstr("expected a directory"));
}

}  // namespace
}  // namespace mynah
