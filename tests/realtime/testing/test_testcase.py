"""The kit in Django's own test classes, sync and async."""

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import transaction
from django.test import TestCase, TransactionTestCase, override_settings

from realtime import apublish, grant, publish, publish_to_user, revoke, user_room
from realtime.models import Membership, Room
from realtime.testing import Closed, RealtimeTestMixin, Refused


class Cases(RealtimeTestMixin):
    def setUp(self):
        super().setUp()
        self.alice = User.objects.create_user("alice", password="secret")
        self.bob = User.objects.create_user("bob", password="secret")
        self.room = Room.objects.create(name="lobby", access=Room.Access.MEMBERS)
        self.membership = Membership.objects.create(
            room=self.room, user=self.alice, role=Membership.Role.MEMBER
        )

    def test_what_is_published_is_known_and_reaches_clients(self):
        with self.realtime.client(self.alice) as alice:
            alice.join("lobby")
            publish("lobby", {"status": "paid"})
            self.realtime.assert_published("lobby", {"status": "paid"}, times=1)
            self.assertEqual(alice.receive(), {"status": "paid"})
            alice.assert_nothing_received()

    def test_a_rollback_publishes_nothing(self):
        with self.assertRaises(ValueError), transaction.atomic():
            publish("lobby", 1)
            raise ValueError
        self.realtime.assert_not_published()

    def test_blocks_inside_of_blocks_publish_at_the_end(self):
        with transaction.atomic():
            with transaction.atomic():
                publish("lobby", 1)
            self.realtime.assert_not_published()
        self.realtime.assert_published("lobby", 1, times=1)

    def test_a_block_without_a_savepoint_publishes_too(self):
        with transaction.atomic(savepoint=False):
            publish("lobby", 1)
        self.realtime.assert_published("lobby", 1)

    def test_what_a_client_says_reaches_the_others(self):
        Membership.objects.create(room=self.room, user=self.bob, role=Membership.Role.MEMBER)
        alice, bob = (self.realtime.client(user) for user in (self.alice, self.bob))
        for client in (alice, bob):
            client.connect()
            client.join("lobby")
        alice.publish("lobby", "hello")
        message = bob.receive_message("lobby")
        self.assertEqual((message.data, message.user), ("hello", str(self.alice.pk)))
        self.assertEqual(bob.presence("lobby"), {str(self.alice.pk), str(self.bob.pk)})

    def test_a_stranger_may_not_enter(self):
        with self.realtime.client(self.bob) as bob, self.assertRaises(Refused) as refused:
            bob.join("lobby")
        self.assertEqual(refused.exception.code, 103)

    def test_a_grant_opens_a_room_until_it_is_taken_back(self):
        with self.realtime.client(self.bob) as bob:
            bob.join("lobby", token=grant("lobby", user=self.bob))
            publish("lobby", 1)
            self.assertEqual(bob.receive(), 1)
            bob.drop()
            publish("lobby", 2)
            self.assertEqual(bob.reconnect(), {"lobby": True})
            self.assertEqual(bob.receive(), 2)
            revoke("lobby", self.bob)
            bob.assert_unsubscribed("lobby")

    @override_settings(REALTIME={"SERVER_ROOMS": "realtime.user_room"})
    def test_rooms_of_the_server_are_entered(self):
        with self.realtime.client(self.bob) as bob:
            self.assertEqual(bob.rooms, {user_room(self.bob)})
            publish_to_user(self.bob, 1)
            self.assertEqual(bob.receive(), 1)
            bob.drop()
            publish_to_user(self.bob, 2)
            self.assertEqual(bob.reconnect(), {user_room(self.bob): True})
            self.assertEqual(bob.receive(), 2)

    def test_a_right_that_is_withdrawn_ends_the_subscription(self):
        with self.realtime.client(self.alice) as alice:
            alice.join("lobby")
            self.membership.delete()
            alice.assert_unsubscribed("lobby")
            publish("lobby", "secret")
            alice.assert_nothing_received()

    def test_a_user_who_is_deactivated_is_disconnected(self):
        with self.realtime.client(self.alice) as alice:
            self.alice.is_active = False
            self.alice.save()
            alice.assert_closed(3500)

    def test_a_credential_that_expires_ends_the_connection(self):
        with self.realtime.client(self.alice) as alice:
            alice.expire()
            alice.assert_closed(3005)
            with self.assertRaises(Closed):
                alice.receive()

    def test_a_lost_connection_recovers(self):
        with self.realtime.client(self.alice) as alice:
            alice.join("lobby")
            alice.drop()
            publish("lobby", 1)
            publish("lobby", 2)
            self.assertEqual(alice.reconnect(), {"lobby": True})
            self.assertEqual([alice.receive(), alice.receive()], [1, 2])

    def test_without_redis_a_publish_is_refused_and_comes_back(self):
        with self.realtime.client(self.alice) as alice:
            alice.join("lobby")
            with self.realtime.without_redis(), self.assertRaises(Refused) as refused:
                alice.publish("lobby", 1)
            self.assertEqual(refused.exception.code, 100)
            alice.publish("lobby", 2)
            self.assertEqual(alice.receive(), 2)

    def test_a_session_of_the_test_client_opens_a_connection(self):
        self.client.force_login(self.alice)
        with self.realtime.client(session_key=self.client.session.session_key) as alice:
            alice.join("lobby")
            self.assertEqual(alice.rooms, {"lobby"})

    async def test_the_same_with_coroutines(self):
        async with self.realtime.aclient(self.alice) as alice:
            await alice.join("lobby")
            await apublish("lobby", 1)
            self.assertEqual(await alice.receive(), 1)
            await self.membership.adelete()
            await alice.assert_unsubscribed("lobby")
            await sync_to_async(self.realtime.assert_published)("lobby", 1)


class TestInTestCase(Cases, TestCase):
    pass


class TestInTransactionTestCase(Cases, TransactionTestCase):
    pass
